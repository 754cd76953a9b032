/** User and password of PLAIN and SCRAM. */
export interface Login {
  readonly username: string
  readonly password: string
}

/** What a client of the native library offers for it: the next time that it authenticates, it uses these. */
interface Follower {
  setSaslCredentials(username: string, password: string): void
}

/** The login as it is now, and the clients that are to use it. */
export interface Logins {
  current(): Login
  /** This client authenticates with the current login from now on, whichever that is. It is not kept alive for that. */
  follow(client: Follower): void
  /** Hands the login to all who follow, where it has changed since. */
  renew(): void
}

/** @param read the login, as it is when it is called */
export function createLogins(read: () => Login): Logins {
  let followers: readonly WeakRef<Follower>[] = []
  let known = read()

  function renew(): void {
    const now = read()
    if (now.username === known.username && now.password === known.password) return
    known = now
    followers = followers.filter(follower => follower.deref() !== undefined)
    // A client that is not connected takes none; what connects later has started with a current one.
    for (const follower of followers) follower.deref()?.setSaslCredentials(now.username, now.password)
  }

  return {
    current() {
      renew()
      return known
    },
    follow(client) {
      followers = [...followers.filter(follower => follower.deref() !== undefined), new WeakRef(client)]
    },
    renew,
  }
}
