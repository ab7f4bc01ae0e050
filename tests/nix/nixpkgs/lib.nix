# What nix/ and its tests use of the library of nixpkgs.
rec {
  callPackageWith =
    pkgs: path: args:
    let
      function = if builtins.isFunction path then path else import path;
    in
    function (builtins.intersectAttrs (builtins.functionArgs function) pkgs // args);

  genAttrs =
    names: value:
    builtins.listToAttrs (
      map (name: {
        inherit name;
        value = value name;
      }) names
    );
  mapAttrs' = function: set: builtins.listToAttrs (map (name: function name set.${name}) (builtins.attrNames set));
  optionalString = condition: text: if condition then text else "";
  importTOML = path: builtins.fromTOML (builtins.readFile path);
  licenses.asl20.spdxId = "Apache-2.0";

  # A file or directory, or a union of them; root is their common directory.
  fileset = {
    unions = paths: paths;
    toSource =
      { root, fileset }:
      let
        wanted = map toString fileset;
        starts = text: start: builtins.substring 0 (builtins.stringLength start) text == start;
        below = path: parent: path == parent || starts path (parent + "/");
      in
      assert builtins.all (path: builtins.pathExists path || throw "${toString path} does not exist") fileset;
      {
        outPath = builtins.path {
          path = root;
          name = "source";
          filter = path: _: builtins.any (one: below path one || below one path) wanted;
        };
      };
  };

  # Options.
  mkOption = option: option // { _type = "option"; };
  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether to enable ${what}.";
    };
  literalExpression = text: { inherit text; };
  types =
    let
      type = check: { inherit check; };
    in
    {
      bool = type builtins.isBool;
      str = type builtins.isString;
      package = type (value: value.type or "" == "derivation");
      anything = type (_: true);
      attrsOf = _: type builtins.isAttrs;
      listOf = _: type builtins.isList;
    };
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  inherit (import ./modules.nix) evalModules;
}
