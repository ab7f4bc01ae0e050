# The module system of nixpkgs as far as nix/module.nix goes: options with a type and a default, definitions with mkIf
# and mkMerge, and settings that are merged. An option that is not declared, or a value of another type, is an error.
let
  inherit (builtins)
    all
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    head
    isAttrs
    isFunction
    isList
    length
    listToAttrs
    ;
  named = concatStringsSep ".";

  # The modules that a module imports, and itself.
  load =
    args: module:
    let
      content = if isFunction module || isAttrs module then module else import module;
      value = if isFunction content then content args else content;
    in
    concatMap (load args) (value.imports or [ ]) ++ [ value ];

  # A definition is a value with the conditions under which it holds. They are not evaluated before the value of an
  # option is asked for, as they depend on other options.
  open =
    { conditions, value }@definition:
    if value._type or "" == "if" then
      open {
        conditions = conditions ++ [ value.condition ];
        value = value.content;
      }
    else if value._type or "" == "merge" then
      concatMap (
        one:
        open {
          inherit conditions;
          value = one;
        }
      ) value.contents
    else
      [ definition ];

  enter =
    name:
    concatMap (
      { conditions, value }:
      if value ? ${name} then
        open {
          inherit conditions;
          value = value.${name};
        }
      else
        [ ]
    );

  holds = filter (definition: all (condition: condition) definition.conditions);

  merge =
    path: definitions:
    let
      values = map (definition: definition.value) definitions;
      plain = value: isAttrs value && value.type or "" != "derivation";
      attribute =
        name:
        let
          below = holds (enter name definitions);
          value = merge (path ++ [ name ]) below;
        in
        if below == [ ] then [ ] else [ { inherit name value; } ];
    in
    if all plain values then
      listToAttrs (concatMap attribute (concatMap attrNames values))
    else if all isList values then
      concatLists values
    else if length values == 1 then
      head values
    else
      throw "${named path} has several values";

  evaluate =
    path: declarations: definitions:
    let
      options = filter (declaration: declaration._type or "" == "option") declarations;
      option = head options;
      set = holds definitions;
      value = if set == [ ] then option.default else merge path set;
      names = concatMap attrNames declarations;
      unknown = concatMap (definition: filter (name: !elem name names) (attrNames definition.value)) definitions;
      below = name: concatMap (set: if set ? ${name} then [ set.${name} ] else [ ]) declarations;
    in
    if options != [ ] then
      if option.type.check value then value else throw "${named path} has another type"
    else if unknown != [ ] then
      throw "${named (path ++ [ (head unknown) ])} is not an option"
    else
      listToAttrs (
        map (name: {
          inherit name;
          value = evaluate (path ++ [ name ]) (below name) (enter name definitions);
        }) names
      );
in
{
  evalModules =
    { modules, specialArgs }:
    let
      loaded = concatMap (load (specialArgs // { inherit config; })) modules;
      # A module without `options` and `config` is its config.
      configOf =
        module: if module ? config || module ? options then module.config or { } else removeAttrs module [ "imports" ];
      definitions = concatMap (
        module:
        open {
          conditions = [ ];
          value = configOf module;
        }
      ) loaded;
      config = evaluate [ ] (map (module: module.options or { }) loaded) definitions;
    in
    {
      inherit config;
    };
}
