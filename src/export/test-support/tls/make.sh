#!/bin/sh
# Makes the certificates of the export tests: an authority, a server for localhost and a client, valid for 100 years.
set -eu
cd "$(dirname "$0")"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -days 36500 -subj '/CN=otel-rust-agent test authority' -out ca.pem
for name in server client; do
  key "$name"
  openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$name.ext"
  openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 -extfile "$name.ext" -out "$name.pem"
  rm "$name.csr" "$name.ext"
done
rm ca.key ca.srl
