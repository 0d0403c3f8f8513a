/**
 * Note the errors of a page's console, and every refusal with the words of the server.
 *
 * The console says only the status of a refused request; `told()` says which request it was and why.
 */
export function watch(page) {
  const errors = [];
  const refusals = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('response', async (response) => {
    if (response.status() < 400) return;
    const place = refusals.push(`${response.request().method()} ${response.url()}: ${response.status()}`) - 1;
    refusals[place] += ` ${await response.text().catch(() => '')}`.slice(0, 1_000);
  });
  return { errors, told: () => `console: ${errors.join('\n')}\nrefused: ${refusals.join('\n')}` };
}
