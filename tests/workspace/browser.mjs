// Chromium, and what it is watched for: every answer it gets, every breach of the page's policy, every error.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };
const SCHEMES = ['light', 'dark'];

export class Browser {
  static async start(shots) {
    const browser = new Browser();
    browser.shots = shots;
    /** Everything that was heard: `{url, text}`. */
    browser.heard = [];
    browser.complaints = [];
    browser.reading = [];
    // An empty profile of its own, so that nothing is remembered.
    browser.context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), 'trunkline-chromium-')), {
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      viewport: SIZES.desktop,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    });
    browser.browser = browser.context.browser();
    return browser;
  }

  /** A page in the window, or in one of its own with `options`. */
  async page(options) {
    const context = options ? await this.browser.newContext({ viewport: SIZES.desktop, ...options }) : this.context;
    const page = await context.newPage();
    await page.addInitScript(() => {
      window.breaches = [];
      document.addEventListener('securitypolicyviolation', (event) => {
        window.breaches.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
      });
    });
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()))
        this.complaints.push(`${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.complaints.push(`thrown: ${error.stack}`));
    page.on('response', (response) => this.reading.push(this.read(response)));
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        if (typeof payload === 'string') this.heard.push({ url: socket.url(), text: payload });
      }),
    );
    return page;
  }

  async read(response) {
    const head = JSON.stringify(await response.headersArray().catch(() => []));
    const body = await response.body().catch(() => '');
    this.heard.push({ url: response.url(), text: `${head}\n${body}` });
  }

  /** What the console said since this was asked last; `expected` is left out. */
  takeComplaints(...expected) {
    const taken = this.complaints.splice(0);
    return taken.filter((text) => !expected.some((pattern) => pattern.test(text)));
  }

  /** Pictures of a page: desktop and phone, light and dark. Nowhere may it be wider than the screen. */
  async shoot(page, name, { fullPage = false } = {}) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      await page.setViewportSize(viewport);
      for (const colorScheme of SCHEMES) {
        // Colours change at once, not over some frames.
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await page.screenshot({ path: join(this.shots, `${name}-${size}-${colorScheme}.png`), fullPage });
      }
      const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(over <= 0, `${name} on a ${size} is ${over} px too wide`);
    }
    await page.setViewportSize({ width: 360, height: 740 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(over <= 0, `${name} at 360 px is ${over} px too wide`);
    await page.setViewportSize(SIZES.desktop);
    await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'no-preference' });
  }

  /** Serious violations that axe finds on a page (of a context with `bypassCSP`), in both schemes. */
  async violations(page) {
    const found = [];
    for (const colorScheme of SCHEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.evaluate(AXE);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      for (const { id, impact, nodes } of violations) {
        const where = nodes.map(({ target, failureSummary }) => `${target.join(' ')}: ${failureSummary}`).slice(0, 3);
        if (['serious', 'critical'].includes(impact))
          found.push(`${colorScheme}, ${impact}: ${id}\n  ${where.join('\n  ')}`);
      }
    }
    return found;
  }

  async stop() {
    await Promise.all(this.reading);
    await this.context.close();
  }
}
