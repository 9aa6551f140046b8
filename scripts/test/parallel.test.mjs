/** Parts side by side: their order, their output, their ends. */

import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { ROOT } from "../wrangler-toml.mjs"

let folder
before(async () => { folder = await mkdtemp(join(tmpdir(), "agent-socket-test-")) })
after(() => rm(folder, { recursive: true }))

/** Starts a script that runs `names` with these definitions of `part`, `needs_of` and `holds_of`. */
async function start(definitions, jobs, names) {
  const script = join(folder, "script.sh")
  await writeFile(script, `
    set -euo pipefail
    . ${ROOT}/scripts/lib.sh
    . ${ROOT}/scripts/parallel.sh
    TOOLS_DIR=${folder}
    needs_of() { :; }
    holds_of() { :; }
    ${definitions}
    PROGRESS_EVERY=1
    code=0
    run_parts ${jobs} ${names.join(" ")} || code=$?
    for name in ${names.join(" ")}; do echo "$name: \${PART_RESULT[$name]}"; done
    echo "cpu: \${PART_CPU[*]}" >&2
    exit $code
  `)
  const child = spawn("bash", [script], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, NO_COLOR: "1" } })
  const run = { child, out: "", err: "" }
  child.stdout.on("data", (data) => { run.out += data })
  child.stderr.on("data", (data) => { run.err += data })
  run.end = once(child, "close").then(([code]) => code)
  return run
}

/** Waits for a text in what a run prints. */
const printed = (run, text) => new Promise((resolve) => {
  const look = () => { if (run.out.includes(text) || run.err.includes(text)) resolve() }
  run.child.stdout.on("data", look)
  run.child.stderr.on("data", look)
  look()
})

test("parts run at the same time, and each one's output stays in one piece", async () => {
  // Each waits for the other's first line: one after the other they would never end.
  const run = await start(`
    part() {
      echo "$1 begins"; touch ${folder}/$1-began
      until [ -e ${folder}/a-began ] && [ -e ${folder}/b-began ]; do sleep 0.01; done
      echo "$1 ends"
    }`, 2, ["a", "b"])
  assert.equal(await run.end, 0, run.err)
  for (const name of ["a", "b"]) assert.match(run.err, new RegExp(`==> ${name}\n${name} begins\n${name} ends\n +${name}: passed, `))
  assert.equal(run.out, "a: passed\nb: passed\n")
})

test("one at a time: output comes as it is made", async () => {
  const run = await start(`part() { echo "$1 begins"; [ "$1" = b ] || until [ -e ${folder}/go ]; do sleep 0.01; done; }`, 1, ["a", "b"])
  await printed(run, "a begins")
  await writeFile(join(folder, "go"), "")
  assert.equal(await run.end, 0, run.err)
  assert.match(run.out, /^a begins\nb begins\n/)
})

test("a failure is told, keeps no other part from running, and leaves out what needs it", async () => {
  const run = await start(`
    part() { echo "this is $1"; case $1 in bad) return 3 ;; killed) kill -KILL "$BASHPID" ;; esac; }
    needs_of() { case $1 in orphan) echo bad ;; child) echo good ;; esac; }`, 3, ["orphan", "bad", "killed", "child", "good"])
  assert.equal(await run.end, 1)
  assert.equal(run.out, "orphan: left out\nbad: failed\nkilled: failed\nchild: passed\ngood: passed\n", run.err)
  assert.match(run.err, /orphan: left out, as it needs 'bad', which did not pass/)
  assert.match(run.err, /==> killed\nthis is killed\n +killed: FAILED/)
  assert.doesNotMatch(run.err, /this is orphan/)
  assert.ok(run.err.indexOf("this is good") < run.err.indexOf("this is child"))
})

test("parts that hold the same thing run one after the other", async () => {
  const run = await start(`
    part() { mkdir ${folder}/held && sleep 0.2 && rmdir ${folder}/held; }
    holds_of() { echo thing; }`, 3, ["a", "b", "c"])
  assert.equal(await run.end, 0, run.err)
})

test("what a part's processes took is counted", async () => {
  const run = await start(`part() { bash -c 'n=0; while [ $n -lt 200000 ]; do n=$((n + 1)); done'; }`, 2, ["a"])
  assert.equal(await run.end, 0, run.err)
  const [, ms] = /cpu: (\d+)/.exec(run.err)
  assert.ok(ms > 50 && ms < 60_000, run.err)
})

test("long work shows what it is at", async () => {
  const run = await start(`part() { echo "step $1"; until [ -e ${folder}/seen ]; do sleep 0.01; done; }`, 2, ["a", "b"])
  await printed(run, "b, for ")
  await writeFile(join(folder, "seen"), "")
  assert.equal(await run.end, 0, run.err)
  assert.match(run.err, /… a, for \S+ m?s: step a\n/)
})

for (const [signal, jobs] of [["SIGINT", 1], ["SIGTERM", 2]]) {
  test(`${signal} ends all that was started, with ${jobs} at a time`, async () => {
    const pids = join(folder, `pids-${jobs}`)
    // A child of a child that only SIGKILL ends, and one that ends politely.
    const run = await start(`
      END_GRACE=1
      part() {
        bash -c 'trap "" TERM INT; echo "$$" >>${pids}; echo stubborn; while :; do sleep 0.1; done' &
        bash -c 'trap "echo goodbye >>${pids}.said; exit" TERM; echo "$$" >>${pids}; echo polite; while :; do sleep 0.05; done' &
        wait
      }`, jobs, ["a"])
    while ((await readFile(pids, "utf8").catch(() => "")).trim().split("\n").length < 2) await new Promise((resolve) => setTimeout(resolve, 20))
    run.child.kill(signal)
    assert.equal(await run.end, 130, run.err)
    assert.equal(await readFile(`${pids}.said`, "utf8"), "goodbye\n")
    for (const pid of (await readFile(pids, "utf8")).trim().split("\n")) {
      // A process that is gone, or that waits for init to note its end.
      const state = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "gone Z")
      assert.match(state, / Z/, `process ${pid} is still there`)
    }
  })
}
