// Requests to the admin listener. The session's cookie goes along by itself.

/** A refusal in the service's words, or no answer at all (status 0). */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Asks, and gives the JSON of the answer. Whose session is over is sent to the login.
 * @param {string} path
 * @param {{method?: string, body?: object, signal?: AbortSignal}} [options]
 */
export async function api(path, { method = 'GET', body, signal } = {}) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body), cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'unreachable', 'The service does not answer.');
  }
  if (response.status === 401) {
    location.reload();
    return new Promise(() => {});
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    const { code, message } = answer?.error ?? {};
    throw new ApiError(response.status, code ?? 'unknown', message ?? `The service answered ${response.status}.`);
  }
  return answer;
}

/** Path of one call. Its id may be any text. */
export const callPath = (id, rest = '') => `/admin/calls/${encodeURIComponent(id)}${rest}`;

/** Link to one call's page. */
export const callHash = (id) => `#/calls/${encodeURIComponent(id)}`;
