// What every program here asks, and how it tells what it was answered: one line of JSON.

export const url = process.argv[2]
export const model = 'pocket'
export const messages = [{ role: 'user', content: 'What is 2 plus 2?' }]
export const weather = [{ role: 'user', content: 'What is the weather in Paris?' }]
export const parameters = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
}
export const description = 'Get the current weather in a city.'
export const schema = {
  type: 'object',
  properties: { operation: { const: 'plus' }, result: { enum: [3, 4] } },
  required: ['operation', 'result'],
  additionalProperties: false,
}

export function tell(answers) {
  console.log(JSON.stringify(answers))
}
