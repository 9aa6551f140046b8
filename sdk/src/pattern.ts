/**
 * Patterns (ECMA-262 with the flag `u`) that can't hang a page. The engine of the browser tries one way after the other,
 * which for `(a+)+$` doubles with each letter of the text. This one goes all ways at once: each part of a pattern takes
 * the set of places where it may begin and gives the set of those where it may end. Only whether a text matches is
 * known then, and JSON Schema asks for no more.
 */

/** Pays for work, in places looked at; throws when it was too much. */
export type Spend = (steps: number) => void

/** What a part of a pattern makes of the places where it may begin. */
interface Part {
  (at: readonly number[], text: readonly string[], spend: Spend): readonly number[]
  /** What a part does that is one character long. */
  char?: RegExp
}

/** Whether a pattern matches somewhere in a text. */
export type Pattern = (text: string, spend: Spend) => boolean

const known = new Map<string, Pattern | undefined>()

/** A pattern that is ready for use; `undefined` for what is none, or has a part that can't be followed all at once. */
export function patternOf(source: string): Pattern | undefined {
  if (!known.has(source)) known.set(source, compile(source))
  return known.get(source)
}

/** A class, an escape, or a character by itself. */
const ATOM = /\[(?:\\.|[^\]\\])*\]|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|\\(?:[pPu]\{[^}]*\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[a-zA-Z]|.)|./suy
const QUANTIFIER = /(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/y
/** The start of a group; not of one that looks back, or changes flags. */
const GROUP = /\((?:\?(?::|<[^=!>]+>|([=!])))?(?!\?)/y

function compile(source: string): Pattern | undefined {
  try {
    new RegExp(source, "u") // so all that is read below is well formed
    const whole = parse(source)
    return (value, spend) => {
      const text = [...value]
      const start = /^\^[^|]*$/.test(source) ? [0] : [...Array(text.length + 1).keys()]
      return whole(start, text, spend).length > 0
    }
  } catch {
    return undefined
  }
}

function parse(source: string): Part {
  let i = 0
  const take = (token: RegExp): RegExpExecArray | null => {
    token.lastIndex = i
    const found = token.exec(source)
    if (found) i = token.lastIndex
    return found
  }

  function choice(): Part {
    const ways: Part[] = []
    do ways.push(sequence())
    while (source[i] === "|" && ++i)
    return ways.length === 1 ? (ways[0] as Part) : (at, text, spend) => [...new Set(ways.flatMap((way) => way(at, text, spend)))]
  }

  function sequence(): Part {
    const parts: Part[] = []
    while (i < source.length && !"|)".includes(source[i] as string)) parts.push(repeated(term()))
    return (at, text, spend) => parts.reduce((reached, part) => {
      spend(reached.length + 1)
      return part(reached, text, spend)
    }, at)
  }

  function repeated(part: Part): Part {
    const found = take(QUANTIFIER)
    if (!found) return part
    const [, sign, least, comma, most] = found
    const min = sign ? Number(sign === "+") : Number(least)
    const max = sign ? (sign === "?" ? 1 : Infinity) : most ? Number(most) : comma ? Infinity : min
    const { char } = part
    if (char && max === Infinity) return (at, text, spend) => {
      const all = new Set<number>()
      for (const start of at) {
        for (let place = start; !all.has(place); place++) {
          spend(1)
          if (place >= start + min) all.add(place)
          if (place >= text.length || !char.test(text[place] as string)) break
        }
      }
      return [...all]
    }
    return (at, text, spend) => {
      let reached = at
      for (let n = 0; n < min && reached.length; n++) {
        spend(reached.length)
        reached = part(reached, text, spend)
      }
      const all = new Set(reached)
      for (let n = min; n < max && reached.length; n++) {
        spend(reached.length)
        reached = part(reached, text, spend).filter((place) => !all.has(place))
        for (const place of reached) all.add(place)
      }
      return [...all]
    }
  }

  function term(): Part {
    if (source[i] === "(") {
      const [, look] = take(GROUP) ?? fail()
      const inner = choice()
      i++ // the closing parenthesis
      if (!look) return inner
      return (at, text, spend) => at.filter((place) => inner([place], text, spend).length > 0 === (look === "="))
    }
    const [atom] = take(ATOM) ?? fail()
    if (/^\\[1-9k]/.test(atom)) fail() // what a group matched
    if (atom === "^") return (at) => at.filter((place) => place === 0)
    if (atom === "$") return (at, text) => at.filter((place) => place === text.length)
    if (/^\\b$/i.test(atom)) {
      const isWord = (char = "") => /^\w$/.test(char)
      return (at, text) => at.filter((place) => (isWord(text[place - 1]) !== isWord(text[place])) === (atom === "\\b"))
    }
    const char = new RegExp(`^${atom}$`, "u")
    const step: Part = (at, text) => at.filter((place) => place < text.length && char.test(text[place] as string)).map((place) => place + 1)
    return Object.assign(step, { char })
  }

  return choice()
}

/** The pattern has a part that can't be followed all at once. */
function fail(): never {
  throw new SyntaxError()
}
