import type { Clock } from '../core/clock.ts';
import type { Engine, Timing } from './engine.ts';
import { ScheduleEngine } from './schedule-engine.ts';
import { StackEngine } from './stack-engine.ts';

/** The engine that `timing` asks for: the fixed schedule when it has a TTFT, else the simulated stack. */
export function createEngine(timing: Timing, clock: Pick<Clock, 'now'>): Engine {
  const { ttftMs } = timing;
  return ttftMs === null ? new StackEngine(timing, clock) : new ScheduleEngine({ ...timing, ttftMs }, clock);
}
