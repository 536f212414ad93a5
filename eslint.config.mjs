import tseslint from 'typescript-eslint'

const off = (...rules) => Object.fromEntries(rules.map(rule => [`@typescript-eslint/${rule}`, 'off']))

export default tseslint.config(
  { ignores: ['.cache/**', 'dist/**', '**/node_modules/**', '**/.cairn/**', 'deploy/templates/**'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: 'error',
      'no-console': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // A port may be synchronous inside; handlers are typed to return promises.
      ...off('require-await'),
      // Both see ghosts: imported functions of node:path, and assertions that document a narrowing for the reader.
      ...off('unbound-method', 'no-unnecessary-type-assertion'),
      // Values of unknown shape are shown to people on purpose.
      ...off('no-base-to-string', 'restrict-template-expressions')
    }
  },
  {
    // Mistakes on purpose.
    files: ['test/types/*.ts'],
    rules: off('no-unsafe-call', 'no-unused-vars')
  }
)
