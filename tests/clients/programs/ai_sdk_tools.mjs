// Vercel's AI SDK with tools: the calls of many questions, and an agent that calls two tools and
// answers. Its arguments: the URL, the model, and a file of questions, which may be none.

import { readFileSync } from 'node:fs'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import { createOllama } from 'ollama-ai-provider-v2'
import { z } from 'zod'

const [url, model, file] = process.argv.slice(2)
const TASK = 'What is the weather in Paris? Also: set a timer for 12 minutes.'

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: 'none' })
const compatible = createOpenAICompatible({ name: 'inglenook', baseURL: `${url}/v1` })
const ollama = createOllama({ baseURL: `${url}/api` })
const models = {
  chat: openai.chat(model),
  responses: openai.responses(model),
  compatible: compatible(model),
  ollama: ollama(model),
}

// Ollama's provider has temperature and limit beside the options, where Ollama does not look.
function greedily(num_predict) {
  return { ollama: { options: { temperature: 0, num_predict } } }
}

async function loop(model) {
  const calls = []
  const { text } = await generateText({
    model,
    prompt: TASK,
    temperature: 0,
    stopWhen: stepCountIs(5),
    providerOptions: greedily(100),
    tools: {
      get_weather: tool({
        description: 'Get the current weather in a city.',
        inputSchema: z.object({ city: z.string() }),
        execute: async (given) => {
          calls.push(['get_weather', given])
          return { weather: 'sunny' }
        },
      }),
      set_timer: tool({
        description: 'Start a timer.',
        inputSchema: z.object({ minutes: z.int() }),
        execute: async (given) => {
          calls.push(['set_timer', given])
          return { status: 'done' }
        },
      }),
    },
  })
  return { answer: text, calls }
}

function asked({ question, tools, choice, max_tokens }) {
  const named = choice.function && { type: 'tool', toolName: choice.function.name }
  return {
    messages: question,
    allowSystemInMessages: true,
    tools: Object.fromEntries(
      tools.map(({ function: { name, description, parameters } }) => [
        name,
        tool({ description, inputSchema: jsonSchema(parameters) }),
      ]),
    ),
    toolChoice: named ?? choice,
    temperature: 0,
    maxOutputTokens: max_tokens,
    maxRetries: 0,
    providerOptions: greedily(max_tokens),
  }
}

function told(calls) {
  return calls.map(({ toolName, input }) => [toolName, input])
}

async function called(model, each) {
  const { toolCalls } = await generateText({ model, ...asked(each) })
  return told(toolCalls)
}

async function streamed(model, each) {
  const answer = streamText({ model, ...asked(each) })
  await answer.consumeStream({
    onError: (error) => {
      throw error
    },
  })
  return told(await answer.toolCalls)
}

const answers = {}
if (file) {
  const questions = JSON.parse(readFileSync(file, 'utf-8'))
  Object.assign(answers, { chat: [], responses: [], ollama: [] })
  // One after the other: in a batch with others a tie may be broken otherwise.
  for (const each of questions) {
    answers.chat.push(await streamed(models.chat, each))
    answers.responses.push(await called(models.responses, each))
    // Ollama's wire cannot require a call.
    answers.ollama.push(each.choice === 'auto' ? await called(models.ollama, each) : null)
  }
} else {
  for (const [wire, model] of Object.entries(models)) answers[wire] = await loop(model)
}
console.log(JSON.stringify(answers))
