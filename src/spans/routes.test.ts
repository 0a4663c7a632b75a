import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinRoutes } from './routes.ts';

const NEW_TAIL = '/{*__private__axum_nest_tail_param}';
const OLD_TAIL = '/*__private__axum_nest_tail_param';

test('templates of nested routers are joined, outermost first', () => {
  assert.equal(joinRoutes(['/users/{id}']), '/users/{id}');
  assert.equal(joinRoutes([`/api${NEW_TAIL}`, '/users/{id}']), '/api/users/{id}');
  assert.equal(joinRoutes([`/api${OLD_TAIL}`, `/v1${OLD_TAIL}`, '/users/:id']), '/api/v1/users/:id');
  assert.equal(joinRoutes([`/api${NEW_TAIL}`, '/']), '/api/');
});

test('no route where none matched', () => {
  assert.equal(joinRoutes([]), undefined);
  assert.equal(joinRoutes([`/api${NEW_TAIL}`]), undefined);
  assert.equal(joinRoutes(['/__private__axum_fallback']), undefined);
  assert.equal(joinRoutes([`/api${NEW_TAIL}`, '/{*__private__axum_fallback}']), undefined);
  assert.equal(joinRoutes(['users']), undefined);
});
