// Ollama's client: chat and generate, whole and as streams, a tool, a schema; and an error.

import { Ollama } from 'ollama'
import { description, messages, model, parameters, schema, tell, url, weather } from './asked.mjs'

const client = new Ollama({ host: url })
const asked = { model, messages, options: { temperature: 0 } }

const chat = await client.chat(asked)
let stream = ''
for await (const part of await client.chat({ ...asked, stream: true })) {
  stream += part.message.content
}
const generate = await client.generate({ ...asked, prompt: messages[0].content })
const called = await client.chat({
  ...asked,
  messages: weather,
  tools: [{ type: 'function', function: { name: 'get_weather', description, parameters } }],
})
const call = called.message.tool_calls[0].function
const structured = await client.chat({ ...asked, format: schema })
const missing = await client.chat({ ...asked, model: 'nothere' }).catch((error) => error)

tell({
  chat: chat.message.content,
  stream,
  generate: generate.response,
  tool: [call.name, call.arguments],
  structured: JSON.parse(structured.message.content),
  missing: [missing.name === 'ResponseError', missing.status_code],
})
