import { errorText, usageError } from '../core/errors.ts';

/** Writes a file that `option` names. Exit 2 when the disk refuses. */
export function putFile(file: string, option: string, write: (file: string) => void): void {
  try {
    write(file);
  } catch (error) {
    throw usageError(
      `${option}: cannot write ${file} (${errorText(error)})`,
      'name a file that can be written',
    );
  }
}
