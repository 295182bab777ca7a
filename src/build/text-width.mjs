import { stripVTControlCharacters } from 'node:util';

/** The columns of a text of the help, whose signs take one each. */
export default function textWidth(text) {
  return [...stripVTControlCharacters(text)].length;
}
