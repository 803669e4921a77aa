// Vercel's AI SDK, with its providers for OpenAI (chat and Responses), for what is like OpenAI,
// and for Ollama: text, streams, a tool with its second turn, an object, an embedding.

import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embed, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai'
import { createOllama } from 'ollama-ai-provider-v2'
import { z } from 'zod'

const [url, ...options] = process.argv.slice(2)
const MODEL = 'pocket'
const PROMPT = 'What is 2 plus 2?'
const WEATHER = 'What is the weather in Paris?'
const schema = z.object({ operation: z.literal('plus'), result: z.enum(['three', 'four']) })

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })
const compatible = createOpenAICompatible({
  name: 'inglenook',
  baseURL: `${url}/v1`,
  supportsStructuredOutputs: true,
})
const ollama = createOllama({ baseURL: `${url}/api` })

async function streamed(model) {
  let said = ''
  const { textStream } = streamText({ model, prompt: PROMPT, temperature: 0, onError: fail })
  for await (const piece of textStream) said += piece
  return said
}

function fail({ error }) {
  throw error
}

async function called(model) {
  const cities = []
  const getWeather = tool({
    description: 'Get the current weather in a city.',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      cities.push(city)
      return 'Sunny, 20 degrees.'
    },
  })
  const { text, steps } = await generateText({
    model,
    prompt: WEATHER,
    temperature: 0,
    tools: { get_weather: getWeather },
    stopWhen: stepCountIs(2),
  })
  if (steps.length !== 2 || !text) throw new Error(`after its tool it said nothing: ${text}`)
  return [steps[0].toolCalls[0].toolName, { city: cities[0] }]
}

async function asked(model) {
  const { text } = await generateText({ model, prompt: PROMPT, temperature: 0 })
  return text
}

async function object(model) {
  const asked = { model, schema, prompt: PROMPT, temperature: 0 }
  const { object } = await generateObject(asked)
  const streaming = streamObject({ ...asked, onError: fail })
  let last
  for await (const partial of streaming.partialObjectStream) last = partial
  return [object, last]
}

const models = {
  chat: openai.chat(MODEL),
  responses: openai.responses(MODEL),
  compatible: compatible(MODEL),
  ollama: ollama(MODEL),
}
const answers = {}
for (const [wire, model] of Object.entries(models)) {
  answers[`${wire}_chat`] = await asked(model)
  answers[`${wire}_stream`] = await streamed(model)
  answers[`${wire}_tool`] = await called(model)
  const [whole, grown] = await object(model)
  answers[`${wire}_structured`] = whole
  answers[`${wire}_structured_stream`] = grown
}
if (options.includes('--embedder')) {
  const { embedding } = await embed({ model: openai.embedding('all-minilm'), value: 'a hearth' })
  answers.vector = embedding.length
  const again = await embed({ model: ollama.embedding('all-minilm'), value: 'a hearth' })
  answers.ollama_vector = again.embedding.length
}
console.log(JSON.stringify(answers))
