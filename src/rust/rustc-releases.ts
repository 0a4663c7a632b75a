/**
 * Release commits of rust-lang/rust, for binaries whose `.comment` does not name rustc: older compilers, or the
 * section was removed. 1.95.0 is from `rustc -vV`, 1.81.0 and 1.85.0 from published build records that hold its
 * output, the others from the table in FLOSS (mandiant/flare-floss, rust_version_database.py), which is generated
 * from the repository's tags. A commit that is not here is reported without a version.
 */
export const RUSTC_RELEASES: Readonly<Record<string, string>> = {
  '09c42c45858d5f3aedfa670698275303a3d19afa': '1.56.0',
  '59eed8a2aac0230a8b53e89d4e99d55912ba6b35': '1.56.1',
  f1edd0429582dd29cccacaf50fd134b05593bd9c: '1.57.0',
  '02072b482a8b5357f7fb5e5637444ae30e423c40': '1.58.0',
  db9d1b20bba1968c1ec1fc49616d4742c1725b4b: '1.58.1',
  '9d1b2106e23b1abd32fce1f17267604a5102f57a': '1.59.0',
  '7737e0b5c4103216d6fd8cf941b7ab9bdbaace7c': '1.60.0',
  fe5b13d681f25ee6474be29d748c65adcd91f69e: '1.61.0',
  a8314ef7d0ec7b75c336af2c9857bfaf43002bfc: '1.62.0',
  e092d0b6b43f2de967af0887873151bb1c0b18d3: '1.62.1',
  '4b91a6ea7258a947e59c6522cd5898e7c0a6a88f': '1.63.0',
  a55dd71d5fb0ec5a6a3a9e8c27b2127ba491ce52: '1.64.0',
  '897e37553bba8b42751c67658967889d11ecd120': '1.65.0',
  '69f9c33d71c871fc16ac445211281c6e7a340943': '1.66.0',
  '90743e7298aca107ddaa0c202a4d3604e29bfeb6': '1.66.1',
  fc594f15669680fa70d255faec3ca3fb507c3405: '1.67.0',
  d5a82bbd26e1ad8b7401f6a718a9c57c96905483: '1.67.1',
  '2c8cc343237b8f7d5a3c3703e3a87f2eb2c54a74': '1.68.0',
  '8460ca823e8367a30dda430efda790588b8c84d3': '1.68.1',
  '9eb3afe9ebe9c7d2b84b71002d44f4a0edac95e0': '1.68.2',
  '84c898d65adf2f39a5a98507f1fe0ce10a2b8dbc': '1.69.0',
  '90c541806f23a127002de5b4038be731ba1458ca': '1.70.0',
  '8ede3aae28fe6e4d52b38157d7bfe0d3bceef225': '1.71.0',
  eb26296b556cef10fb713a38f3d16b9886080f26: '1.71.1',
  '5680fa18feaa87f3ff04063800aec256c3d4b4be': '1.72.0',
  d5c2e9c342b358556da91d61ed4133f6f50fc0c3: '1.72.1',
  cc66ad468955717ab92600c770da8c1601a4ff33: '1.73.0',
  '79e9716c980570bfd1f666e3b16ac583f0168962': '1.74.0',
  a28077b28a02b92985b3a3faecf92813155f1ea1: '1.74.1',
  eeb90cda1969383f56a2637cbd3037bdf598841c: '1.81.0',
  '4d91de4e48198da2e33413efdcd9cd2cc0c46688': '1.85.0',
  '59807616e1fa2540724bfbac14d7976d7e4a3860': '1.95.0',
};
