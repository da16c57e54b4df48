// Rows of calls, live or ended. On a narrow screen each figure's heading stands beside it.

import { callHash } from './api.js';
import { $, h, setText } from './dom.js';
import { parties } from './numbers.js';

/** @typedef {[name: string, heading: string, text: (call: object) => string]} Column `who` is the link to the call */

/** Frames lost, both ways. */
export const drops = (call) => call.up.dropped + call.down.dropped;

/** Route and link; empty where neither is known. */
export const way = (call) => [call.route, call.link].filter(Boolean).join(' · ');

/** What a filter looks at, with `more` words than those that every call has. */
export const searchText = (call, ...more) =>
  [call.callId, call.transactionId, call.smaTransactionId, parties(call), call.route, call.link, ...more]
    .join(' ')
    .toLowerCase();

/** Fills the head of a table. */
export function showHead(table, columns, ...more) {
  const heads = columns.map(([name, heading]) =>
    h('th', { class: `c-${name}`, scope: 'col', role: 'columnheader' }, heading),
  );
  $('thead tr', table).append(...heads, ...more);
}

/**
 * A row, with `more` cells behind those of the columns.
 * @param {Column[]} columns
 * @returns {{element: HTMLElement, draw: (call: object) => void}}
 */
export function makeRow(columns, call, ...more) {
  const link = h('a', { href: callHash(call.callId), title: call.callId });
  const cells = columns.map(([name, heading]) => {
    const attributes = { class: `c-${name}`, 'data-label': heading };
    return name === 'who'
      ? h('th', { ...attributes, scope: 'row', role: 'rowheader' }, link)
      : h('td', { ...attributes, role: 'cell' });
  });
  const element = h('tr', { role: 'row', 'data-id': call.callId }, ...cells, ...more);
  const draw = (call) =>
    columns.forEach(([name, , text], index) => setText(name === 'who' ? link : cells[index], text(call)));
  return { element, draw };
}
