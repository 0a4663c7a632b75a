import { CLIENT_SOCKET, check, OK, responded, serve, written } from './client-commands.ts';
import { type CallOptions, call, drop, inTask, newTask, sendRequest } from './client-memory.ts';
import type { Commands } from './driver.ts';

// Calls whose Uris are clones of one share its text, and their HeaderMaps have no room: the link is the same pointer.

const NONE: CallOptions = { headers: [0, 0] };
const clone = (id: number): CallOptions => (id === 1 ? NONE : { ...NONE, pathOf: 1 });
const made = (id: number) => call(id, clone(id));
const dropped = (id: number, state: 'waiting' | 'returned' = 'waiting') => drop(id, state, clone(id));
/** With Host: from here on the HeaderMap is not moved. */
const WITH_HOST: CallOptions = { headers: [1, 8] };
const sent = (id: number) => sendRequest(id, { ...clone(id), ...WITH_HOST });
const carried = (id: number) => [
  ...written(id, { ...clone(id), ...WITH_HOST }, CLIENT_SOCKET + id),
  ...responded(OK, CLIENT_SOCKET + id),
];

const CALL = (id: number) => `call ${id} GET http://h/x in /a`;
const shared = (name: string, commands: Commands, expected: readonly string[]) =>
  check(name, [serve('/a'), ...commands], ['> 0 GET /a HTTP/1.1', ...expected]);

shared(
  'of two calls at once neither has a status; a later one has',
  [
    ...[
      ...made(1),
      ...made(2),
      ...carried(1),
      ...carried(2),
      ...dropped(1, 'returned'),
      ...dropped(2, 'returned'),
    ],
    ...[...made(3), ...carried(3)],
  ],
  [
    ...[CALL(1), CALL(2), 'end 1 returned written', 'end 2 returned written'],
    ...[CALL(3), '#4 => 0 call 3', '#4 <= 0 200 call 3', 'CALL_UNLINKED 2'],
  ],
);
shared(
  'one after the other both have',
  [...made(1), ...carried(1), ...made(2), ...carried(2)],
  [CALL(1), '#2 => 0 call 1', '#2 <= 0 200 call 1', CALL(2), '#3 => 0 call 2', '#3 <= 0 200 call 2'],
);
shared(
  'the first is written and dropped before the second is written',
  [
    ...made(1),
    ...made(2),
    ...carried(1),
    ...dropped(1, 'returned'),
    ...carried(2),
    ...dropped(2, 'returned'),
  ],
  [CALL(1), CALL(2), 'end 1 returned written', 'end 2 returned written', 'CALL_UNLINKED 2'],
);
shared(
  'an old one that was never written is not waited for',
  [...made(1), 'set host_clock 200000000000', ...made(2), ...carried(2)],
  [CALL(1), CALL(2), '#2 => 0 call 2', '#2 <= 0 200 call 2'],
);
shared(
  'with room in their HeaderMaps they are told apart',
  [
    ...[...call(1), ...call(2, { pathOf: 1 }), ...written(2, { pathOf: 1 }, 102), ...written(1, {}, 101)],
    ...[...responded(OK, 101), ...responded(OK, 102)],
  ],
  [CALL(1), CALL(2), '#2 => 0 call 2', '#3 => 0 call 1', '#3 <= 0 200 call 1', '#2 <= 0 200 call 2'],
);

// ---- where sending is seen ----

const MAKER = 7;
shared(
  'each task knows its own',
  [
    ...[...made(1), newTask(8), inTask(8), ...made(2), ...sent(2), inTask(MAKER), ...sent(1)],
    ...[...carried(1), ...carried(2), ...dropped(1, 'returned'), inTask(8), ...dropped(2, 'returned')],
  ],
  [CALL(1), CALL(2), '#2 => 0 call 1', '#2 <= 0 200 call 1', '#3 => 0 call 2', '#3 <= 0 200 call 2'],
);
shared(
  'of one task’s the oldest is sent first',
  [...made(1), ...made(2), ...made(3), ...[1, 2, 3].flatMap((id) => [...sent(id), ...carried(id)])],
  [
    ...[CALL(1), CALL(2), CALL(3)],
    ...[1, 2, 3].flatMap((id) => [`#${id + 1} => 0 call ${id}`, `#${id + 1} <= 0 200 call ${id}`]),
  ],
);
shared(
  'sent, and dropped before it is written',
  [...made(1), ...made(2), ...sent(1), ...dropped(1), ...sent(2), ...carried(2)],
  [CALL(1), CALL(2), 'end 1 suspended', '#2 => 0 call 2', '#2 <= 0 200 call 2'],
);
shared(
  'a single call is sent: nothing to tell apart',
  [...made(1), ...sent(1), ...written(1, clone(1)), ...responded()],
  [CALL(1), '#2 => 0 call 1', '#2 <= 0 200 call 1'],
);
shared(
  'another task sends none of them',
  [...made(1), ...made(2), inTask(50), ...sent(1), inTask(MAKER), ...carried(1)],
  [CALL(1), CALL(2), 'CALL_UNLINKED 1'],
);
shared(
  'after all are sent, the next is single',
  [
    ...[...made(1), ...made(2), ...sent(1), ...sent(2), ...made(3)],
    ...[...written(3, clone(3)), ...responded(), ...carried(1)],
  ],
  [
    ...[CALL(1), CALL(2), CALL(3), '#2 => 0 call 3', '#2 <= 0 200 call 3'],
    ...['#3 => 0 call 1', '#3 <= 0 200 call 1'],
  ],
);

// The path `/` becomes a constant on its way: here the text of call 50.
const ROOT: CallOptions = { path: '/', headers: [0, 0] };
const ON_ITS_WAY: CallOptions = { path: '/', pathOf: 50, ...WITH_HOST };
const handed = (id: number) => sendRequest(id, ON_ITS_WAY);
const answered = (id: number) => [
  ...written(id, ON_ITS_WAY, CLIENT_SOCKET + id),
  ...responded(OK, CLIENT_SOCKET + id),
];
const ROOT_CALL = (id: number, host = 'h') => `call ${id} GET http://${host}/ in /a`;

shared(
  'a call of / without headers is linked where it is sent',
  [...call(1, ROOT), ...handed(1), ...answered(1), ...drop(1, 'returned', ROOT)],
  [ROOT_CALL(1), '#2 => 0 call 1', '#2 <= 0 200 call 1'],
);
shared(
  'two of different hosts at once are not told apart',
  [
    ...call(1, ROOT),
    ...call(2, { ...ROOT, authority: 'other' }),
    ...handed(1),
    ...answered(1),
    ...drop(1, 'returned', ROOT),
  ],
  [
    ...[ROOT_CALL(1), ROOT_CALL(2, 'other')],
    ...['#2 => 0 GET /x HTTP/1.1 alone', '#2 <= 0 200', 'end 1 returned', 'CALL_UNLINKED 1'],
  ],
);
