// Numbers, times and durations as one reads them from afar.

export function number(value) {
  return value.toLocaleString("en").replaceAll(",", "\u202f");
}

/** Four digits that count. */
export function score(value) {
  return String(Number(value.toPrecision(4)));
}

export function milliseconds(value) {
  return value.toFixed(value < 10 ? 1 : 0);
}

export function seconds(value) {
  if (value < 60) return `${Math.floor(value)}\u00a0s`;
  if (value < 3600) return `${Math.floor(value / 60)}\u00a0min`;
  return value < 172800 ? `${Math.floor(value / 3600)}\u00a0h` : `${Math.floor(value / 86400)}\u00a0days`;
}

export function clock(stamp) {
  const time = new Date(stamp);
  const sameDay = time.toDateString() === new Date().toDateString();
  const hours = time.toLocaleTimeString([], { hour12: false });
  return sameDay ? hours : `${time.toLocaleDateString()} ${hours}`;
}

/** Set what changed, so that nothing is laid out anew for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
