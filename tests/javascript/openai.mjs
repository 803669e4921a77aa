// OpenAI's client: chat and Responses, whole and as streams, a tool, a schema; and an error.

import OpenAI from 'openai'
import { description, messages, model, parameters, schema, tell, url, weather } from './asked.mjs'

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 })
const asked = { model, messages, temperature: 0 }
const named = { name: 'get_weather', description, parameters }

const chat = await client.chat.completions.create(asked)
let stream = ''
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
  stream += chunk.choices[0]?.delta?.content ?? ''
}
const called = await client.chat.completions.create({
  ...asked,
  messages: weather,
  tools: [{ type: 'function', function: named }],
})
const call = called.choices[0].message.tool_calls[0].function
const structured = await client.chat.completions.create({
  ...asked,
  response_format: { type: 'json_schema', json_schema: { name: 'sum', schema, strict: true } },
})

const plain = { model, input: messages[0].content, temperature: 0 }
const response = await client.responses.create(plain)
const final = await client.responses.stream(plain).finalResponse()
const answered = await client.responses.create({
  ...plain,
  input: weather[0].content,
  tools: [{ type: 'function', strict: false, ...named }],
})
const item = answered.output.find((each) => each.type === 'function_call')
const missing = await client.chat.completions.create({ ...asked, model: 'nothere' }).catch((e) => e)

tell({
  chat: chat.choices[0].message.content,
  stream,
  tool: [call.name, JSON.parse(call.arguments)],
  structured: JSON.parse(structured.choices[0].message.content),
  responses_chat: response.output_text,
  responses_stream: final.output_text,
  responses_tool: [item.name, JSON.parse(item.arguments)],
  missing: [missing instanceof OpenAI.NotFoundError, missing.status],
})
