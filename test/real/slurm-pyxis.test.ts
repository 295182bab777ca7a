import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { rootMissing } from './slurm/root.ts';

const missing = notRun('the stand-in for pyxis', slurmMissing());

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe.skipIf(missing !== null)('the stand-in for pyxis', () => {
  let work: string;
  let cluster: Cluster;

  beforeAll(async () => {
    work = mkdtempSync(path.join(tmpdir(), 'bench-pyxis-'));
    cluster = await startCluster({ nodes: 1, plugin: 'fail_image=no/such' });
  });

  afterAll(async () => {
    await cluster?.stop();
    if (work) rmSync(work, { recursive: true, force: true });
  });

  const srun = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Ran =>
    spawnSync('srun', args, {
      env: { ...process.env, ...cluster.env, ...env },
      encoding: 'utf8',
      timeout: 60_000,
      cwd: work,
    });
  const show = (names: readonly string[]): string[] => [
    'bash',
    '-c',
    names.map((name) => `echo "${name}=\${${name}-(unset)}"`).join(';'),
  ];

  it.each([
    '--container-env=A,',
    '--container-env=,A',
    '--container-env=',
    '--container-image=',
    '--container-mounts=/a:/b,',
    '--container-mounts=/a:',
    '--container-mounts=a:/b',
    '--container-mounts=/a:b',
    '--container-unshare=pid',
  ])('refuses %s before anything is launched, with 255', (option) => {
    const ran = srun(['--container-image=image', option, 'touch', path.join(work, 'launched')]);
    expect(ran.status, ran.stderr).toBe(255);
    expect(ran.stderr).toContain('srun: error: pyxis: ');
    expect(existsSync(path.join(work, 'launched'))).toBe(false);
  });

  it('refuses both forms of a flag', () => {
    const ran = srun(['--container-image=image', '--container-writable', '--container-readonly', 'true']);
    expect([ran.status, ran.stderr]).toEqual([255, expect.stringContaining('both forms')]);
  });

  it('takes names in --container-env, and breaks what is given as NAME=value', () => {
    const names = ['GIVEN', 'OLD', 'NEW', 'EMPTY'];
    const ran = srun(
      ['--container-image=image', '--container-env', 'GIVEN,OLD=bar,NEW=bar,EMPTY=bar', ...show(names)],
      {
        GIVEN: 'true value',
        OLD: 'old',
        EMPTY: '',
      },
    );
    // What bash makes of the line that pyxis writes for each name X: [ -n "${X-}" ] && echo "X=${X}"
    expect(ran.stdout.trim().split('\n'), ran.stderr).toEqual([
      'GIVEN=true value',
      'OLD=bar=old',
      'NEW=bar=bar-',
      'EMPTY=',
    ]);
  });

  it('shows the task what it was given', () => {
    const flags = ['--no-container-mount-home', '--no-container-remap-root', '--container-writable'];
    const ran = srun([
      ...['--container-image=some/image:1', '--container-name=mine', '--container-unshare=net,ipc', ...flags],
      ...show(
        ['IMAGE', 'NAME', 'UNSHARE', 'MOUNT_HOME', 'REMAP_ROOT', 'WRITABLE', 'ENTRYPOINT'].map(
          (kind) => `PYXIS_STANDIN_${kind}`,
        ),
      ),
    ]);
    expect(ran.stdout.trim().split('\n')).toEqual([
      'PYXIS_STANDIN_IMAGE=some/image:1',
      'PYXIS_STANDIN_NAME=mine',
      'PYXIS_STANDIN_UNSHARE=net,ipc',
      'PYXIS_STANDIN_MOUNT_HOME=0',
      'PYXIS_STANDIN_REMAP_ROOT=0',
      'PYXIS_STANDIN_WRITABLE=1',
      'PYXIS_STANDIN_ENTRYPOINT=(unset)',
    ]);
    expect(ran.stderr).toContain('pyxis: imported docker image: some/image:1');
  });

  it('fails a step whose image cannot be imported, or that mounts what is not there', () => {
    const twice = ['--ntasks-per-node=2', '--ntasks=2', 'touch', path.join(work, 'launched')];
    const image = srun(['--container-image=registry/no/such:1', ...twice]);
    expect(image.status).toBe(1);
    expect(image.stderr).toContain('pyxis: failed to import docker image: registry/no/such:1');
    expect(image.stderr).toMatch(
      /error: spank: required plugin spank_pyxis\.so: task_init\(\) failed with rc=-1/,
    );
    const mount = srun(['--container-image=image', '--container-mounts=/no/such:/mnt', ...twice]);
    expect(mount.status).toBe(1);
    expect(mount.stderr).toContain('pyxis: --container-mounts: source path does not exist: /no/such');
    const squash = srun(['--container-image=/no/such.sqsh', ...twice]);
    expect([squash.status, squash.stderr]).toEqual([1, expect.stringContaining('/no/such.sqsh')]);
    expect(existsSync(path.join(work, 'launched'))).toBe(false);
  });

  it.skipIf(notRun('mounts of the stand-in for pyxis', rootMissing()) !== null)(
    'makes mounts that the task alone sees',
    () => {
      const source = path.join(work, 'source');
      mkdirSync(source);
      writeFileSync(path.join(source, 'file'), 'from the host');
      const mounts = [
        `${source}:/mnt`,
        `${source}:/new-${process.pid}/deep:ro`,
        `${source}/file:/usr/lib/new-${process.pid}`,
        'tmpfs:/srv',
      ].join(',');
      const before = readFileSync('/proc/mounts', 'utf8');
      const ran = srun([
        ...['--container-image=image', `--container-mounts=${mounts}`, 'bash', '-c'],
        `pwd; cat /mnt/file /new-${process.pid}/deep/file /usr/lib/new-${process.pid}; echo
       touch /mnt/written /srv/x ${work}/beside
       touch /new-${process.pid}/deep/x 2>&1 | grep -o 'Read-only file system'`,
      ]);
      expect(ran.stdout.trim().split('\n'), ran.stderr).toEqual([
        '/',
        'from the hostfrom the hostfrom the host',
        'Read-only file system',
      ]);
      expect(['written', 'x'].map((name) => existsSync(path.join(source, name)))).toEqual([true, false]);
      expect(existsSync(path.join(work, 'beside'))).toBe(true);
      expect(
        [`/new-${process.pid}`, `/usr/lib/new-${process.pid}`, '/srv/x'].filter((file) => existsSync(file)),
      ).toEqual([]);
      expect(readFileSync('/proc/mounts', 'utf8')).toBe(before);
    },
  );
});
