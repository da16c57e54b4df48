// The form that has the SIP media application ring somebody up.

import { ApiError, api, callHash } from './api.js';
import { $, setData, setText } from './dom.js';

const E164 = /^\+[1-9]\d{1,14}$/;

/** What people put into telephone numbers to read them. */
const bare = (number) => number.replace(/[\s().\-/]/g, '');

const HINTS = {
  destination_not_allowed: 'The configuration does not allow calls to this number (sma.allowed_destinations).',
  over_quota: 'Too many calls are being placed just now. Nothing was dialled: wait a moment and try again.',
  sma_off: 'This service cannot place calls: no SIP media application is configured (sma.application_id).',
  draining: 'The service is being stopped and places no calls.',
};

/** Wires up the form. */
export function setUpPlacing() {
  const form = $('#place form');
  const button = $('button', form);
  const message = $('.message', form);

  const show = (text, kind) => {
    setText(message, text);
    setData(message, 'kind', kind);
  };
  const complain = (field, text) => {
    field.setAttribute('aria-invalid', text !== '');
    setText($(`#${field.id}-error`), text);
    return text === '';
  };

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    const { to, from, route, metadata } = form.elements;
    const wanted = read({ to, from, route, metadata }, complain);
    if (!wanted) {
      show('', 'note');
      $('[aria-invalid=true]', form).focus();
      return;
    }
    button.disabled = true;
    show('Placing the call …', 'note');
    try {
      const { callId } = await api('/api/outreach/call/initiate', { method: 'POST', body: wanted });
      form.reset();
      show('', 'note');
      location.hash = callHash(callId);
    } catch (error) {
      show(explain(error), 'error');
    } finally {
      button.disabled = false;
    }
  });
}

/** What the form says, or null if something in it is wrong. */
function read({ to, from, route, metadata }, complain) {
  const wanted = { to: bare(to.value) };
  const wrong = 'Write the number with + and country code: +15550100042';
  const good = [complain(to, E164.test(wanted.to) ? '' : wrong)];
  if (from.value.trim()) {
    wanted.from = bare(from.value);
    good.push(complain(from, E164.test(wanted.from) ? '' : wrong));
  } else {
    complain(from, '');
  }
  if (route.value.trim()) wanted.route = route.value.trim();
  try {
    if (metadata.value.trim()) wanted.metadata = JSON.parse(metadata.value);
    complain(metadata, '');
  } catch (error) {
    good.push(complain(metadata, `This is not JSON: ${error.message}`));
  }
  return good.every(Boolean) ? wanted : null;
}

function explain(error) {
  if (!(error instanceof ApiError)) return error.message;
  if (error.code === 'outcome_unknown' || error.status === 0) {
    return `It is not known whether the telephone rings. Look at the live calls before you call again. (${error.message})`;
  }
  return HINTS[error.code] ?? error.message;
}
