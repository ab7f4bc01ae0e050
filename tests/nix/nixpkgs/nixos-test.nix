# A NixOS test without the machine: its configuration is evaluated, and the script is compiled.
pkgs: file:

let
  test = import file;
in
derivation {
  name = "vm-test-run-${test.name}";
  inherit (pkgs) system;
  machines = builtins.toJSON (
    builtins.mapAttrs (_: machine: (pkgs.nixos machine).config.virtualisation) test.nodes
  );
  inherit (test) testScript;
  builder = "/usr/bin/python3";
  args = [
    "-c"
    ''
      import ast, os
      compile(os.environ["testScript"], "testScript", "exec", ast.PyCF_ONLY_AST)
      os.mkdir(os.environ["out"])
    ''
  ];
}
