import net from 'node:net';
import tls from 'node:tls';
import type { Target, TlsMaterial } from './wire.ts';

/** How a connection to a target is secured. */
export function tlsOptions(
  target: Target,
  material: TlsMaterial | null,
  session: Buffer | undefined,
): tls.ConnectionOptions {
  return {
    ...(net.isIP(target.host) ? {} : { servername: target.host }),
    ...(material?.ca ? { ca: [...tls.rootCertificates, material.ca] } : {}),
    ...(material?.cert ? { cert: material.cert } : {}),
    ...(material?.key ? { key: material.key } : {}),
    ...(session ? { session } : {}),
    ALPNProtocols: ['http/1.1'],
  };
}
