import { describe, expect, it } from 'vitest';
import { certificateTrouble } from '../../src/endpoints/certificate.ts';
import { answerText, httpFailure, notStreamed } from '../../src/endpoints/failures.ts';

const head = (status: number, contentType = '', location: string | null = null) => ({
  status,
  contentType,
  location,
});
const page = (title: string): string =>
  `<!doctype html>\r\n<html><head>\n<title lang="en">${title}</title></head></html>`;

describe('an answer in words', () => {
  it.each([
    ['nothing', head(500), ' \n', 'status 500'],
    ['a text', head(503), '\nno workers\nat all', 'status 503: no workers'],
    ['OpenAI', head(400), '{"error": {"message": "too\\n long"}}', 'status 400: too long'],
    ['an error that is a text', head(400), '{"error": "bad"}', 'status 400: bad'],
    ['a JSON text', head(400), '"bad"', 'status 400: bad'],
    ['a message that is an object', head(422), '{"message": {"detail": "bad"}}', 'status 422: bad'],
    ['a param', head(400), '{"error": {"message": "extra", "param": "seed"}}', 'status 400: seed: extra'],
    [
      'a param that is named',
      head(400),
      '{"error": {"message": "no seed", "param": "seed"}}',
      'status 400: no seed',
    ],
    [
      'pydantic',
      head(422),
      '{"detail": [{"loc": ["body", "a", "b"], "msg": "extra"}, {"loc": ["body", "c"], "msg": "odd"}]}',
      'status 422: a.b: extra; c: odd',
    ],
    ['a list', head(400), '[\n {"error": {"message": "bad"}}\n]', 'status 400: bad'],
    ['JSON without a message', head(400), '{\n "code": 3\n}', 'status 400: {"code":3}'],
    ['JSON null', head(400), 'null', 'status 400: null'],
    ['a page', head(502, 'text/html; charset=utf-8'), page(' 502\nBad '), 'status 502: HTML page "502 Bad"'],
    ['a page without a type', head(502), page('x'), 'status 502: HTML page "x"'],
    ['a page without a title', head(502, 'text/html'), '<p>no</p>', 'status 502: HTML page without a title'],
    [
      'a redirect',
      head(307, 'text/html', 'https://h/x?key=hush'),
      page('Moved'),
      'status 307: redirects to https://h/x?key=***',
    ],
    ['a redirect to nowhere', head(302, 'text/html'), page('Moved'), 'status 302: HTML page "Moved"'],
    ['a bad request', head(400, '', '/x'), 'bad', 'status 400: bad'],
    ['no redirect', head(201, '', '/models/1'), '{"message": "made"}', 'status 201: made'],
    ['a long text', head(400), 'x'.repeat(400), `status 400: ${'x'.repeat(300)}`],
    [
      'a page with 200',
      head(200, 'text/html'),
      page('Sign in'),
      'status 200, text/html: HTML page "Sign in"',
    ],
    ['a list with 200', head(200, 'application/json'), '[]', 'status 200'],
  ])('of %s', (_name, answer, body, words) => {
    expect(answerText(answer, body)).toBe(words);
  });

  it('is the detail of a failed request', () => {
    expect(httpFailure(head(404), 'Not Found')).toEqual({ class: 'http', detail: 'status 404: Not Found' });
    expect(notStreamed(head(200, 'text/html'), page('Sign in'))).toEqual({
      class: 'malformed',
      detail: 'answered text/html instead of an event stream: HTML page "Sign in"',
    });
    expect(notStreamed(head(200, 'application/json'), `{\n"a": "${'x'.repeat(400)}"}`).detail).toBe(
      `answered application/json instead of an event stream: { "a": "${'x'.repeat(192)}`,
    );
  });
});

describe('the trouble with a certificate', () => {
  it.each([
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'untrusted'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'other-host'],
    ['CERT_HAS_EXPIRED', 'out-of-date'],
    ['ECONNREFUSED', null],
    [undefined, null],
  ])('of %s is %s', (code, trouble) => {
    expect(certificateTrouble(code)).toBe(trouble);
  });
});
