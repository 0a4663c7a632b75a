import type { BinaryFacts } from '../../analysis/facts.ts';
import { hasFunction, type Library } from '../library.ts';
import { channelCall } from './recover.ts';
import { channelDrop } from './recover-drop.ts';

const CHANNEL = 'tonic::transport::channel';

/**
 * gRPC calls, in their caller's task; a task of the channel sends them:
 *
 *     fn <Channel as Service<Request>>::call(out rdi, &mut self rsi, http::Request rdx)
 *     drop of its ResponseFuture (&mut rdi)
 */
export const tonic: Library = {
  name: 'tonic',
  queries: [
    {
      id: 'tonic.call',
      kind: 'function',
      contains: ['tonic', 'transport', 'channel', 'Channel', 'Service', 'call'],
      pattern: new RegExp(
        `^<${CHANNEL}::Channel as tower_service::Service<http::request::Request<.*>>>::call$`,
      ),
      recovery: { kind: 'functions', find: channelCall },
      inlinedBeside: ['tonic.drop'],
    },
    {
      id: 'tonic.drop',
      kind: 'function',
      contains: ['drop_in_place', 'tonic', 'transport', 'channel', 'ResponseFuture'],
      pattern: new RegExp(`^core::ptr::drop_in_place(?:::)?<${CHANNEL}::ResponseFuture>$`),
      recovery: { kind: 'functions', find: channelDrop },
    },
  ],
  hooks: [
    {
      name: 'tonic.call',
      program: 'tonic_call',
      query: 'tonic.call',
      arguments: ['rdx'],
      gives: 'whose gRPC call it is',
    },
    {
      name: 'tonic.drop',
      program: 'tonic_drop',
      query: 'tonic.drop',
      arguments: ['rdi'],
      limit: 64,
      gives: 'calls that never reach a connection',
    },
  ],
};

export const hasTonicClient = (facts: BinaryFacts): boolean => hasFunction(facts, 'tonic.call');
