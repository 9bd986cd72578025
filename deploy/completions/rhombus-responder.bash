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
      ':reconcile') path='reconcile' ;;
      'reconcile:--after') _rhombus_responder_skip ;;
      'reconcile:--before') _rhombus_responder_skip ;;
      'reconcile:--camera') _rhombus_responder_skip ;;
      'reconcile:--location') _rhombus_responder_skip ;;
      ':check') path='check' ;;
      ':rebuild-journal') path='rebuild-journal' ;;
      ':events') path='events' ;;
      'events:--state') _rhombus_responder_skip ;;
      'events:--after') _rhombus_responder_skip ;;
      'events:--limit') _rhombus_responder_skip ;;
      ':status') path='status' ;;
      ':webhook') path='webhook' ;;
      'webhook:register') path='webhook register' ;;
      'webhook register:--url') _rhombus_responder_skip ;;
      'webhook:show') path='webhook show' ;;
      'webhook:forget-unused') path='webhook forget-unused' ;;
      'webhook:test') path='webhook test' ;;
      'webhook test:--url') _rhombus_responder_skip ;;
      ':pins') path='pins' ;;
      'pins:list') path='pins list' ;;
      'pins:forget') path='pins forget' ;;
      ':adopt-archive') path='adopt-archive' ;;
      ':retry') path='retry' ;;
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
    'reconcile:--after') return ;;
    'reconcile:--before') return ;;
    'reconcile:--camera') return ;;
    'reconcile:--location') return ;;
    'events:--state') _rhombus_responder_words 'waiting capturing done partial failed ignored' ;;
    'events:--after') return ;;
    'events:--limit') return ;;
    'webhook register:--url') return ;;
    'webhook test:--url') return ;;
    *)
      case $path in
        '') _rhombus_responder_words 'serve catch-up reconcile check rebuild-journal events status webhook pins adopt-archive retry -h --help --version --config --log-level' ;;
        'serve') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'catch-up') _rhombus_responder_words '--after --before --camera --location --max-alerts --dry-run -h --help --version --config --log-level' ;;
        'reconcile') _rhombus_responder_words '--after --before --camera --location --json -h --help --version --config --log-level' ;;
        'check') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'rebuild-journal') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'events') _rhombus_responder_words '--json --state --after --limit -h --help --version --config --log-level' ;;
        'status') _rhombus_responder_words '--json -h --help --version --config --log-level' ;;
        'webhook') _rhombus_responder_words 'register show forget-unused test -h --help --version --config --log-level' ;;
        'webhook register') _rhombus_responder_words '--url --diagnostic -h --help --version --config --log-level' ;;
        'webhook show') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'webhook forget-unused') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'webhook test') _rhombus_responder_words '--url -h --help --version --config --log-level' ;;
        'pins') _rhombus_responder_words 'list forget -h --help --version --config --log-level' ;;
        'pins list') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'pins forget') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'adopt-archive') _rhombus_responder_words '-h --help --version --config --log-level' ;;
        'retry') _rhombus_responder_words '--failed -h --help --version --config --log-level' ;;
      esac
      ;;
  esac
}
complete -F _rhombus_responder rhombus-responder
