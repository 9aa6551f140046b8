/** The page: jobs that an AI starts, waits for and may stop. */

import { connect, defaultAgentsMd } from "/sdk.js"
import { connectButton, tabStore } from "/sdk-page.js"
import { sayChanges, showCalls } from "../examples.js"
import { countPrimes } from "./primes.js"

const $ = (id) => document.getElementById(id)
const jobs = new Map()
/** The largest number that a job takes. */
const MAX = 5_000_000_000

const tools = [
  {
    path: "/count_primes",
    description: "Starts counting the primes below a number. Answers 202 with a taskId; the task's result is {below, primes, ms}.",
    input: { type: "object", properties: { below: { type: "integer", minimum: 10, maximum: MAX } }, required: ["below"], additionalProperties: false },
    handler: ({ input, agent }) => ({ taskId: start(input.below, agent?.label ?? "AI") }),
  },
  {
    path: "/stop",
    description: "Stops a job; its task ends with status 409.",
    input: { type: "object", properties: { taskId: { type: "string" } }, required: ["taskId"], additionalProperties: false },
    handler({ input }) {
      const stopped = jobs.get(input.taskId)?.abort.abort()
      return jobs.has(input.taskId) ? { stopped: true } : { status: 404, body: { error: { code: "no_job", message: "No job of this taskId is running." }, stopped } }
    },
  },
  { method: "GET", path: "/jobs", read_only: true, description: "Lists the jobs that are running.", handler: () => ({ jobs: [...jobs].map(([taskId, { below, done }]) => ({ taskId, below, done })) }) },
]

let session

/** A reload stops the jobs that ran; whoever waits for one is told. */
const running = {
  load() {
    try {
      return JSON.parse(sessionStorage.getItem("long-job.running")) ?? []
    } catch {
      return []
    }
  },
  save() {
    try {
      sessionStorage.setItem("long-job.running", JSON.stringify([...jobs.keys()]))
    } catch { /* storage is off or full: those tasks expire */ }
  },
}
const lost = running.load()

/** Starts a job and returns its id at once. */
function start(below, who) {
  const taskId = crypto.randomUUID?.() ?? `job-${Date.now()}-${jobs.size}`
  const job = { below, done: 0, abort: new AbortController(), ...row(below, who) }
  jobs.set(taskId, job)
  running.save()
  const startedAt = performance.now()
  const progress = (done) => {
    job.done = job.bar.value = done
    job.state.textContent = `${Math.round(done * 100)} %`
    if (who !== "you") session?.progressTask(taskId, done, `${Math.round(done * below)} of ${below} looked at`)
  }
  countPrimes(below, progress, job.abort.signal).then(
    (primes) => finish(taskId, { body: { below, primes, ms: Math.round(performance.now() - startedAt) } }, `${primes.toLocaleString("en")} primes`),
    () => finish(taskId, { status: 409, body: { error: { code: "stopped", message: "The job was stopped." } } }, "stopped"),
  )
  return taskId

  function finish(id, result, text) {
    jobs.delete(id)
    running.save()
    job.state.textContent = text
    job.state.className = "done"
    job.stop.remove()
    if (who !== "you") void session?.completeTask(id, result)
  }
}

/** A job's row, newest first. */
function row(below, who) {
  const item = document.createElement("li")
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties)
  const title = make("b", { textContent: `primes below ${below.toLocaleString("en")}` })
  const state = make("span", { textContent: "0 %" })
  const bar = make("progress", { max: 1, value: 0 })
  bar.setAttribute("aria-label", `Progress of primes below ${below}`)
  const stop = make("button", { type: "button", className: "button", textContent: "Stop" })
  stop.addEventListener("click", () => [...jobs.values()].find((job) => job.stop === stop)?.abort.abort())
  item.append(title, state, bar, make("span", { className: "who", textContent: `started by ${who}` }), stop)
  $("jobs").prepend(item)
  return { bar, state, stop }
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault()
  start($("below").valueAsNumber, "you")
})

const description = "Counts primes in an open browser tab, as an example of work that takes long."
session = await connect({
  appId: "as_app_anon",
  appDescription: description,
  agentsMd: defaultAgentsMd({ name: "Long job", description, capabilities: ["count the primes below a number", "tell how far a job is", "stop a job"], limits: [`numbers up to ${MAX.toLocaleString("en")}`] }),
  tools,
  resume: tabStore("long-job"),
  ...sayChanges($("notice")),
}).catch((error) => { $("notice").textContent = error.message })
if (session) {
  $("connect").append(connectButton(session))
  showCalls(session, $("calls"))
  for (const id of lost) void session.completeTask(id, { status: 410, body: { error: { code: "lost", message: "The page was reloaded, so the job is gone. Start it again." } } })
}
