# bash completion for rhombus-responder. Made by: rhombus-responder completion bash

# These see the variables of the function below.
_rhombus_responder_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current"); }
_rhombus_responder_paths() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen "$1" -- "$current")
}
_rhombus_responder_skip() { # --option=value comes as three words
  [[ ${COMP_WORDS[i + 1]} == = ]] && ((++i))
  ((++i))
}

_rhombus_responder() {
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} path='' i
  COMPREPLY=()
  if [[ $current == = ]]; then
    current=''
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case $path:${COMP_WORDS[i]} in
      *:--config) _rhombus_responder_skip ;;
      *:--log-level) _rhombus_responder_skip ;;
      ':serve') path='serve' ;;
      ':catch-up') path='catch-up' ;;
      'catch-up:--after') _rhombus_responder_skip ;;
      'catch-up:--before') _rhombus_responder_skip ;;
      'catch-up:--camera') _rhombus_responder_skip ;;
      'catch-up:--location') _rhombus_responder_skip ;;
      'catch-up:--max-alerts') _rhombus_responder_skip ;;
      ':backup') path='backup' ;;
      'backup:--start') _rhombus_responder_skip ;;
      'backup:--duration') _rhombus_responder_skip ;;
      'backup:--camera') _rhombus_responder_skip ;;
      'backup:--location') _rhombus_responder_skip ;;
      'backup:--split') _rhombus_responder_skip ;;
      ':copy-footage') path='copy-footage' ;;
      'copy-footage:-a'|'copy-footage:--api_key') _rhombus_responder_skip ;;
      'copy-footage:-c'|'copy-footage:--cert') _rhombus_responder_skip ;;
      'copy-footage:-p'|'copy-footage:--private_key') _rhombus_responder_skip ;;
      'copy-footage:-s'|'copy-footage:--start_time') _rhombus_responder_skip ;;
      'copy-footage:-u'|'copy-footage:--duration') _rhombus_responder_skip ;;
      'copy-footage:--location_uuid') _rhombus_responder_skip ;;
      'copy-footage:--camera_uuid') _rhombus_responder_skip ;;
      'copy-footage:--max_alerts') _rhombus_responder_skip ;;
      'copy-footage:--before_time') _rhombus_responder_skip ;;
      'copy-footage:--after_time') _rhombus_responder_skip ;;
      'copy-footage:--alert_buffer') _rhombus_responder_skip ;;
      ':reconcile') path='reconcile' ;;
      'reconcile:--after') _rhombus_responder_skip ;;
      'reconcile:--before') _rhombus_responder_skip ;;
      'reconcile:--camera') _rhombus_responder_skip ;;
      'reconcile:--location') _rhombus_responder_skip ;;
      ':check') path='check' ;;
      ':rebuild-journal') path='rebuild-journal' ;;
      ':events') path='events' ;;
      'events:--camera') _rhombus_responder_skip ;;
      'events:--activity') _rhombus_responder_skip ;;
      'events:--state') _rhombus_responder_skip ;;
      'events:--via') _rhombus_responder_skip ;;
      'events:--after') _rhombus_responder_skip ;;
      'events:--before') _rhombus_responder_skip ;;
      'events:--limit') _rhombus_responder_skip ;;
      ':status') path='status' ;;
      ':show') path='show' ;;
      ':cameras') path='cameras' ;;
      ':locations') path='locations' ;;
      ':doors') path='doors' ;;
      ':webhook') path='webhook' ;;
      'webhook:register') path='webhook register' ;;
      'webhook register:--url') _rhombus_responder_skip ;;
      'webhook:unregister') path='webhook unregister' ;;
      'webhook unregister:--url') _rhombus_responder_skip ;;
      'webhook:show') path='webhook show' ;;
      'webhook:forget-unused') path='webhook forget-unused' ;;
      'webhook:test') path='webhook test' ;;
      'webhook test:--url') _rhombus_responder_skip ;;
      ':hook') path='hook' ;;
      'hook:test') path='hook test' ;;
      ':pins') path='pins' ;;
      'pins:list') path='pins list' ;;
      'pins:forget') path='pins forget' ;;
      ':adopt-archive') path='adopt-archive' ;;
      ':retry') path='retry' ;;
      ':hold') path='hold' ;;
      ':release') path='release' ;;
      ':prune') path='prune' ;;
      ':verify') path='verify' ;;
      'verify:--rate') _rhombus_responder_skip ;;
      ':export') path='export' ;;
      'export:--to') _rhombus_responder_skip ;;
    esac
  done
  case $path:$before in
    *:--config) _rhombus_responder_paths -f ;;
    *:--log-level) _rhombus_responder_words 'trace debug info warn error' ;;
    'catch-up:--after') return ;;
    'catch-up:--before') return ;;
    'catch-up:--camera') return ;;
    'catch-up:--location') return ;;
    'catch-up:--max-alerts') return ;;
    'backup:--start') return ;;
    'backup:--duration') return ;;
    'backup:--camera') return ;;
    'backup:--location') return ;;
    'backup:--split') return ;;
    'copy-footage:-a'|'copy-footage:--api_key') return ;;
    'copy-footage:-c'|'copy-footage:--cert') return ;;
    'copy-footage:-p'|'copy-footage:--private_key') return ;;
    'copy-footage:-s'|'copy-footage:--start_time') return ;;
    'copy-footage:-u'|'copy-footage:--duration') return ;;
    'copy-footage:--location_uuid') return ;;
    'copy-footage:--camera_uuid') return ;;
    'copy-footage:--max_alerts') return ;;
    'copy-footage:--before_time') return ;;
    'copy-footage:--after_time') return ;;
    'copy-footage:--alert_buffer') return ;;
    'reconcile:--after') return ;;
    'reconcile:--before') return ;;
    'reconcile:--camera') return ;;
    'reconcile:--location') return ;;
    'events:--camera') return ;;
    'events:--activity') return ;;
    'events:--state') _rhombus_responder_words 'waiting capturing done partial failed ignored' ;;
    'events:--via') return ;;
    'events:--after') return ;;
    'events:--before') return ;;
    'events:--limit') return ;;
    'webhook register:--url') return ;;
    'webhook unregister:--url') return ;;
    'webhook test:--url') return ;;
    'verify:--rate') return ;;
    'export:--to') _rhombus_responder_paths -d ;;
    *)
      case $path in
        '') _rhombus_responder_words 'serve catch-up backup copy-footage reconcile check rebuild-journal events status show cameras locations doors webhook hook pins adopt-archive retry hold release prune verify export -h --help --version --config --log-level' ;;
        'serve') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'catch-up') _rhombus_responder_words '--after --before --camera --location --max-alerts --dry-run -h --help --version --config --log-level' ;;
        'backup') _rhombus_responder_words '--start --duration --camera --location --split -h --help --version --config --log-level' ;;
        'copy-footage') _rhombus_responder_words '-a --api_key -c --cert -p --private_key -s --start_time -u --duration -g --debug -w --usewan --location_uuid --camera_uuid --alerts --max_alerts --before_time --after_time --alert_buffer -h --help --version --config --log-level' ;;
        'reconcile') _rhombus_responder_words '--after --before --camera --location --json -h --help --version --config --log-level' ;;
        'check') _rhombus_responder_words '--config-only --show-config -h --help --version --config --log-level' ;;
        'rebuild-journal') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'events') _rhombus_responder_words '--json --camera --activity --state --via --after --before --held --limit -h --help --version --config --log-level' ;;
        'status') _rhombus_responder_words '--json -h --help --version --config --log-level' ;;
        'show') _rhombus_responder_words '--json -h --help --version --config --log-level' ;;
        'cameras') _rhombus_responder_words '--json -h --help --version --config --log-level' ;;
        'locations') _rhombus_responder_words '--json -h --help --version --config --log-level' ;;
        'doors') _rhombus_responder_words '--json -h --help --version --config --log-level' ;;
        'webhook') _rhombus_responder_words 'register unregister show forget-unused test -h --help --version --config --log-level' ;;
        'webhook register') _rhombus_responder_words '--url --diagnostic -h --help --version --config --log-level' ;;
        'webhook unregister') _rhombus_responder_words '--url -h --help --version --config --log-level' ;;
        'webhook show') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'webhook forget-unused') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'webhook test') _rhombus_responder_words '--url -h --help --version --config --log-level' ;;
        'hook') _rhombus_responder_words 'test -h --help --version --config --log-level' ;;
        'hook test') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'pins') _rhombus_responder_words 'list forget -h --help --version --config --log-level' ;;
        'pins list') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'pins forget') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'adopt-archive') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'retry') _rhombus_responder_words '--failed --deliveries -h --help --version --config --log-level' ;;
        'hold') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'release') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'prune') _rhombus_responder_words '--dry-run -h --help --version --config --log-level' ;;
        'verify') _rhombus_responder_words '--repair --rate --anew -h --help --version --config --log-level' ;;
        'export') _rhombus_responder_words '--to -h --help --version --config --log-level' ;;
      esac
      ;;
  esac
}
complete -F _rhombus_responder rhombus-responder
