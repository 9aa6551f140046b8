for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy)
    field.select()
    try { await navigator.clipboard.writeText(field.value) } catch { document.execCommand("copy") }
    button.textContent = "Copied"
    setTimeout(() => { button.textContent = "Copy" }, 1500)
  })
}
for (const form of document.forms) {
  const button = form.querySelector("button")
  const text = button.textContent
  form.addEventListener("submit", () => { button.textContent = "Working…" })
  addEventListener("pageshow", () => { button.textContent = text })
}
document.getElementById("result")?.scrollIntoView({ block: "nearest" })
