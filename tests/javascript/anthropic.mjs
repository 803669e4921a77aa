// Anthropic's client: messages, whole and as a stream, a tool with its second turn; and an error.

import Anthropic from '@anthropic-ai/sdk'
import { description, messages, model, parameters, tell, url, weather } from './asked.mjs'

const client = new Anthropic({ baseURL: url, apiKey: 'none', maxRetries: 0 })
const asked = { model, messages, max_tokens: 100, temperature: 0 }

const chat = await client.messages.create(asked)
const stream = await client.messages.stream(asked).finalText()
const withTool = {
  ...asked,
  messages: weather,
  tools: [{ name: 'get_weather', description, input_schema: parameters }],
}
const called = await client.messages.create(withTool)
const call = called.content.find((each) => each.type === 'tool_use')
const result = { type: 'tool_result', tool_use_id: call.id, content: 'Sunny, 20 degrees.' }
const turns = [{ role: 'assistant', content: called.content }, { role: 'user', content: [result] }]
const after = await client.messages.create({ ...withTool, messages: [...weather, ...turns] })
const counted = await client.messages.countTokens({ model, messages })
const missing = await client.messages.create({ ...asked, model: 'nothere' }).catch((e) => e)

tell({
  chat: chat.content[0].text,
  stream,
  tool: [call.name, call.input],
  after_tool: after.stop_reason,
  counted: counted.input_tokens === chat.usage.input_tokens + chat.usage.cache_read_input_tokens,
  missing: [missing instanceof Anthropic.NotFoundError, missing.status],
})
