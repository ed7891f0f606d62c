/** What makes a page hard to use for somebody: runs inside the page, so it uses nothing from outside itself. */

/** One line per flaw: too wide, nameless controls, small targets, weak contrast, broken structure. */
export function findFlaws(): string[] {
  const flaws: string[] = [];
  const isVisible = (one: Element): boolean => one.checkVisibility() && one.getClientRects().length > 0;
  const tell = (one: Element): string => one.outerHTML.slice(0, 90);
  const nameOf = (one: Element): string => {
    const label = one.getAttribute('aria-label') ?? '';
    const by = document.getElementById(one.getAttribute('aria-labelledby') ?? '')?.textContent ?? '';
    const labels = one instanceof HTMLInputElement ? [...(one.labels ?? [])].map((each) => each.textContent) : [];
    return [label, by, ...labels, one.textContent].join('').trim();
  };

  const overflow = document.documentElement.scrollWidth - window.innerWidth;
  if (overflow > 0) flaws.push(`the page is ${overflow} px too wide`);
  if (document.documentElement.lang === '') flaws.push('the page has no language');
  for (const tag of ['main', 'h1']) {
    const { length } = document.querySelectorAll(tag);
    if (length !== 1) flaws.push(`${length} ${tag} elements`);
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) flaws.push(`two elements #${id}`);

  for (const one of document.querySelectorAll('button, input, a, iframe, canvas[role], [tabindex]')) {
    if (!isVisible(one)) continue;
    if (nameOf(one) === '' && one.getAttribute('title') === null) flaws.push(`no name: ${tell(one)}`);
    const { width, height } = (one.closest('label') ?? one).getBoundingClientRect();
    const isInText = one.tagName === 'A' && one.closest('p') !== null;
    if (!isInText && (width < 24 || height < 24)) flaws.push(`${width} × ${height} px to press: ${tell(one)}`);
  }

  // WCAG 2.2, 1.4.3: relative luminance of text against what is behind it.
  const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour: string): number[] => {
    pen?.clearRect(0, 0, 1, 1);
    if (pen) pen.fillStyle = colour;
    pen?.fillRect(0, 0, 1, 1);
    return [...(pen?.getImageData(0, 0, 1, 1).data ?? [])];
  };
  const luminance = (colour: string): number => {
    const [r = 0, g = 0, b = 0] = rgba(colour).map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const groundOf = (one: Element | null): string => {
    if (one === null) return 'white';
    const ground = getComputedStyle(one).backgroundColor;
    return (rgba(ground)[3] ?? 0) > 250 ? ground : groundOf(one.parentElement);
  };
  for (const one of document.querySelectorAll('body *')) {
    const hasText = [...one.childNodes].some((node) => node.nodeType === 3 && (node.textContent ?? '').trim() !== '');
    const isDisabled = one instanceof HTMLButtonElement && one.disabled;
    if (!hasText || isDisabled || !isVisible(one) || ['SCRIPT', 'STYLE'].includes(one.tagName)) continue;
    const [ink, ground] = [luminance(getComputedStyle(one).color), luminance(groundOf(one))];
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) flaws.push(`contrast ${contrast.toFixed(2)}: ${tell(one)}`);
  }
  return flaws;
}
