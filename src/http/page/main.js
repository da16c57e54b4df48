// The operators' page: one view at a time, by the address behind the #.

import { openCall } from './call.js';
import { setUpCalls } from './calls.js';
import { $, setText } from './dom.js';
import { openHistory, setUpHistory } from './history.js';
import { board, connect, on } from './live.js';
import { setUpPlacing } from './place.js';
import { openService, setUpService } from './service.js';

const TITLES = { calls: 'Calls', call: 'Call', history: 'History', place: 'Place a call', service: 'Service' };
const VIEWS = Object.keys(TITLES);
let opened = null;
let visited = false;

/** `#/` is the calls, `#/calls/ID` one of them, `#/history`, `#/place`, `#/service`. */
function go() {
  const [name, id] = location.hash.replace(/^#\/?/, '').split('/');
  const view = name === 'calls' && id ? 'call' : VIEWS.includes(name) && name !== 'call' ? name : 'calls';
  opened?.close();
  opened = null;
  for (const other of VIEWS) $(`#${other}`).hidden = other !== view;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === view) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.body.dataset.view = view;
  if (view === 'call') opened = openCall($('#call'), decode(id));
  if (view === 'history') opened = openHistory();
  if (view === 'service') openService();
  if (visited) {
    scrollTo(0, 0);
    $(`#${view} h1`).focus({ preventScroll: true });
  }
  visited = true;
  showTitle();
}

function decode(id) {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}

function showTitle() {
  const trouble = board.link === 'lost' ? '(!) ' : '';
  const title = `${trouble}${TITLES[document.body.dataset.view]} · ${board.calls.size} live · Trunkline`;
  if (document.title !== title) document.title = title;
}

for (const kind of ['link', 'snapshot', 'started', 'ended']) on(kind, showTitle);
setUpService();
setUpCalls();
setUpHistory();
setUpPlacing();
addEventListener('hashchange', go);
// By itself it would be an address, and another view.
$('.skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('#main').focus();
});
go();
connect();
for (const element of document.querySelectorAll('.session')) element.hidden = document.body.dataset.session !== 'yes';
setText($('#host'), location.host);
