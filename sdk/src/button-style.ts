/** The style of `<agent-socket-button>`. */
export const css = `
:host { display: inline-block; --accent: var(--agent-socket-accent, light-dark(#54329a, #ffdf6b)); --on: var(--agent-socket-on-accent, light-dark(#fff, #1a1530)); --good: light-dark(#157a55, #3ddc97); --warn: light-dark(#8a4b00, #ffb066); }
[hidden] { display: none !important; }
button { font: inherit; font-weight: 600; min-height: 2.75em; padding: 0.4em 1em; border: 1px solid color-mix(in srgb, currentColor 30%, transparent); border-radius: 0.5em; background: transparent; color: inherit; cursor: pointer; }
button:hover { background: color-mix(in srgb, currentColor 10%, transparent); }
.main { border-color: transparent; background: var(--accent); color: var(--on); display: inline-flex; align-items: center; gap: 0.6em; }
.main:hover { background: color-mix(in srgb, var(--accent) 86%, light-dark(#000, #fff)); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
i { width: 0.7em; height: 0.7em; border-radius: 50%; border: 2px solid currentColor; box-sizing: border-box; }
[data-state=connected] i { background: currentColor; }
dialog { box-sizing: border-box; width: min(30rem, 100vw - 2rem); max-height: calc(100dvh - 2rem); padding: 1.25rem; border: 1px solid light-dark(#0002, #fff3); border-radius: 0.9rem; background: light-dark(#fff, #1d1b2b); color: light-dark(#1a1530, #f4f1ff); box-shadow: 0 1rem 3rem #0006; font: 1rem/1.5 system-ui, sans-serif; text-align: start; }
dialog::backdrop { background: #0b0820a8; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; gap: 0 1rem; }
h2, h3, p, ul { margin: 0; padding: 0; }
h2 { font-size: 1.25rem; } h3 { font-size: 0.9rem; margin-top: 1rem; }
#state { font-size: 0.9rem; font-weight: 600; color: var(--warn); }
#state[data-state=connected] { color: var(--good); }
.small, details { font-size: 0.9rem; } #local { margin-top: 0.75rem; color: var(--warn); overflow-wrap: anywhere; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
fieldset { margin: 0; padding: 0; border: 0; min-width: 0; } legend { padding: 0; }
#tabs { display: flex; flex-wrap: wrap; }
#tabs label { position: relative; cursor: pointer; } #tabs input { position: absolute; opacity: 0; inset: 0; margin: 0; pointer-events: none; }
#tabs span { display: block; padding: 0.4em 0.75em; font-weight: 600; border-bottom: 3px solid transparent; }
#tabs :checked + span { color: var(--accent); border-color: currentColor; }
#tabs :focus-visible + span { outline: 3px solid var(--accent); outline-offset: -3px; }
details { margin-top: 1rem; } summary { cursor: pointer; font-weight: 600; } details > * + * { margin-top: 0.5rem; display: block; }
select { font: inherit; padding: 0.3em; border: 1px solid light-dark(#0004, #fff5); border-radius: 0.4em; background: light-dark(#fff, #12101d); color: inherit; }
#tools { display: grid; max-height: 9rem; overflow: auto; } #tools label { display: flex; gap: 0.5em; align-items: center; padding: 0.15em 0; overflow-wrap: anywhere; } #tools input { flex: none; }
#with-link { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0.6rem; margin-top: 0.5rem; justify-items: start; }
.row { display: flex; gap: 0.5rem; width: 100%; }
.end { justify-content: flex-end; margin-top: 1rem; }
#link { flex: 1; min-width: 0; box-sizing: border-box; padding: 0.5em 0.7em; border: 1px solid light-dark(#0004, #fff5); border-radius: 0.5em; background: light-dark(#f6f5fa, #12101d); color: inherit; font: 0.9rem ui-monospace, Menlo, Consolas, monospace; text-overflow: ellipsis; }
#qr { width: 100%; } svg { display: block; width: min(15rem, 100%); margin: auto; border-radius: 0.5em; }
ul { list-style: none; display: grid; }
li { display: flex; align-items: center; gap: 0.25rem 0.75rem; padding: 0.4rem 0; border-bottom: 1px solid light-dark(#0001, #fff2); }
li b { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
li span { flex: 1; font-size: 0.85rem; opacity: 0.75; }
li.active span { color: var(--good); opacity: 1; }
#error { margin-top: 0.75rem; color: light-dark(#b3203a, #ff8f9c); }
@media (max-width: 30rem) { li { flex-wrap: wrap; } }
`
