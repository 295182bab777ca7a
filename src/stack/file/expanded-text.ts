import { Document, visit } from 'yaml';
import { isSecretName } from './redaction.ts';
import type { Stack } from './stack.ts';

/**
 * The stack as a file in which nothing is left to a preset; it reads back as the same stack. Values of secrets
 * become references to the environment.
 */
export function expandedText(stack: Stack): string {
  const { name, cluster, container, model, runtime, services, stack_ready, teardown } = stack;
  const document = new Document(
    {
      schema: 1,
      name,
      preset: 'custom',
      cluster,
      container,
      model,
      runtime,
      services: Object.fromEntries(
        Object.entries(services).map(([key, service]) => [
          key,
          {
            ...service,
            env: Object.fromEntries(
              Object.entries(service.env).map(([variable, value]) => [
                variable,
                isSecretName(variable) ? `\${env:${variable}}` : value,
              ]),
            ),
          },
        ]),
      ),
      stack_ready,
      teardown,
    },
    { aliasDuplicateObjects: false },
  );
  // Short lists stay on one line, as people write commands.
  visit(document, {
    Seq(_key, node) {
      if (node.items.every((item) => typeof (item as { value?: unknown }).value === 'string'))
        node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0 });
}
