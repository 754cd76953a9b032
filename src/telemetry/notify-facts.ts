import type { NotifyFact, NotifyObserver } from '../notify/notifier.ts'
import type { FactLog } from './fact-log.ts'
import type { Metrics } from './metrics.ts'

/** Log lines and metrics of messages to operators. */
export function createNotifyObserver({
  metrics,
  log,
}: {
  readonly metrics: Metrics
  readonly log: FactLog
}): NotifyObserver {
  function observe(fact: NotifyFact): void {
    switch (fact.kind) {
      case 'notice_sent':
        metrics.count('notifications_total', { kind: fact.notice, result: 'sent' }, 1)
        log.line('info', fact.kind, { notice: fact.notice, subject: fact.subject }, 'message sent to operators')
        break

      case 'notice_failed': {
        metrics.count('notifications_total', { kind: fact.notice, result: 'failed' }, 1)
        const { notice, subject, attempt, error } = fact
        const fields = { notice, subject, attempt, error }
        log.repeated('', 'warn', fact.kind, fields, 'NOTIFY_WEBHOOK_URL did not take a message: trying again')
        break
      }

      case 'notice_dropped': {
        metrics.count('notifications_total', { kind: fact.notice, result: 'dropped' }, 1)
        const fields = { notice: fact.notice, subject: fact.subject }
        log.line('error', fact.kind, fields, 'a message was given up: NOTIFY_WEBHOOK_URL took none for a day')
        break
      }

      case 'notices_refused':
        log.repeated('', 'warn', fact.kind, { count: fact.count }, 'too many messages wait for NOTIFY_WEBHOOK_URL')
        break

      case 'notify_trouble':
        log.repeated('', 'error', fact.kind, { error: fact.error }, 'messages to operators: an unforeseen error')
        break

      default:
        fact satisfies never
    }
  }
  return { observe }
}
