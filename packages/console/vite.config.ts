/** Builds the pages: one HTML file each, no framework, one header for all, sources of the workspace packages as they are. */
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const PAGES = { index: 'Proof', chat: 'Chat', ticker: 'Ticker', vitals: 'Vitals' } as const;
type PageName = keyof typeof PAGES;

const ICON =
  "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><rect width='32' height='32' rx='8' fill='%230a5c66'/><path d='M5 19c4-7 7-7 11 0s7 7 11 0' fill='none' stroke='%23fff' stroke-width='3.4' stroke-linecap='round'/></svg>";
const WAVE =
  '<svg class="wave" viewBox="0 0 32 32" aria-hidden="true"><path d="M4 19c4-8 8-8 12 0s8 8 12 0" fill="none" stroke="currentColor" stroke-width="3.4" stroke-linecap="round"/></svg>';

function header(current: string): string {
  const links = Object.entries(PAGES).map(([name, title]) => {
    const here = name === current ? ' aria-current="page"' : '';
    return `<a href="${name === 'index' ? '/' : `/${name}.html`}"${here}>${title}</a>`;
  });
  return `<header class="top">
      <a class="skip" href="#main">Skip to the page</a>
      <a class="mark" href="/" aria-label="Tideway, home">${WAVE}Tideway</a>
      <nav aria-label="Pages">${links.join('')}</nav>
      <p class="server"><span class="lamp" id="lamp" aria-hidden="true"></span><span id="server-state" role="status">looking for the server</span><span id="server-up"></span></p>
    </header>`;
}

/** What all pages share stands here once: `<!--header-->` and the icon. */
function frame(): Plugin {
  return {
    name: 'frame',
    transformIndexHtml: {
      order: 'pre',
      handler: (html, { path }) =>
        html
          .replace('<!--header-->', header(/([a-z]+)\.html$/.exec(path)?.[1] ?? 'index'))
          .replace('</title>', `</title>\n    <link rel="icon" href="${ICON}" />`),
    },
  };
}

const inputOf = (name: string): string => fileURLToPath(new URL(`./${name}.html`, import.meta.url));

export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  plugins: [frame()],
  resolve: { conditions: ['tideway-source', 'module', 'browser', 'import', 'default'] },
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    rolldownOptions: {
      input: (Object.keys(PAGES) as PageName[]).map(inputOf),
      // On a slow machine it would advise a profile to whoever only wants to see the pages.
      checks: { bundlerTimings: false },
    },
  },
});
