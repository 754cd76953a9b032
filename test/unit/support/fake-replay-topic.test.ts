import { describe } from 'vitest'
import { replayTopicSuite } from '../../contract/replay-topic.suite.ts'
import { aFakeReplayTopic } from '../../support/fake-replay-topic.ts'

describe('the stand-in of the topic that a redrive publishes to', () => {
  replayTopicSuite(async () => aFakeReplayTopic().topic)
})
