import { connect } from "/sdk.js"
import { connectButton } from "/sdk-page.js"
import { app } from "./shopping-list.js"

const list = document.getElementById("list")
const show = (items) => list.replaceChildren(...items.map((text) => Object.assign(document.createElement("li"), { textContent: text })))

document.getElementById("connect").append(connectButton(() => connect(app(show))))
document.getElementById("code").textContent = await (await fetch("./shopping-list.js")).text()
