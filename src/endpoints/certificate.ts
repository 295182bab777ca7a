/** Why a server's certificate is not taken. */
export type CertificateTrouble = 'untrusted' | 'other-host' | 'out-of-date';

const CODES: Readonly<Record<string, CertificateTrouble>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'untrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'untrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT: 'untrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'untrusted',
  CERT_UNTRUSTED: 'untrusted',
  INVALID_CA: 'untrusted',
  ERR_TLS_CERT_ALTNAME_INVALID: 'other-host',
  HOSTNAME_MISMATCH: 'other-host',
  CERT_HAS_EXPIRED: 'out-of-date',
  CERT_NOT_YET_VALID: 'out-of-date',
};

/** What the code of an error says about a certificate; null for any other error. */
export function certificateTrouble(code: string | undefined): CertificateTrouble | null {
  return (code === undefined ? undefined : CODES[code]) ?? null;
}
