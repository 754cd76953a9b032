import { describe } from 'vitest'
import { redriveTopicSuite } from '../../contract/redrive-topic.suite.ts'
import { aFakeRedriveTopic } from '../../support/fake-redrive-topic.ts'

describe('the stand-in of the topic that a redrive publishes to', () => {
  redriveTopicSuite(async () => aFakeRedriveTopic().topic)
})
