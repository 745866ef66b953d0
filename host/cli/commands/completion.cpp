#include "cli/command.hpp"
#include "cli/invocation.hpp"

namespace kortex::host {
namespace {

// The scripts know nothing: each asks the binary, which answers "word<TAB>meaning" lines, or one line
// ":files" or ":directories" where the shell itself knows best.

constexpr std::string_view bash = R"sh(# bash completion for kortex-cli: eval "$(kortex-cli completion bash)"
_kortex_cli() {
  local line word current
  COMPREPLY=()
  # COMP_WORDBREAKS cuts at '=' and ':'; the words are cut at blanks again.
  local -a words
  read -r -a words <<< "${COMP_LINE:0:COMP_POINT}"
  case "${COMP_LINE:0:COMP_POINT}" in *[[:space:]]) words+=("") ;; esac
  current=${words[${#words[@]}-1]}
  local prefix=${current%"${COMP_WORDS[COMP_CWORD]}"}
  [ "${COMP_WORDS[COMP_CWORD]}" = "=" ] && prefix=$current
  while IFS= read -r line; do
    word=${line%%$'\t'*}
    case $word in
      :files) compopt -o default 2>/dev/null; return ;;
      :directories) compopt -o dirnames 2>/dev/null; return ;;
    esac
    COMPREPLY+=("${word#"$prefix"}")
    case $word in *=) compopt -o nospace 2>/dev/null ;; esac
  done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _kortex_cli kortex-cli
)sh";

constexpr std::string_view zsh = R"sh(#compdef kortex-cli
# zsh completion for kortex-cli: source <(kortex-cli completion zsh)
_kortex_cli() {
  local line
  local -a answers
  for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      '') ;;
      :files) _files; return ;;
      :directories) _files -/; return ;;
      *) answers+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
    esac
  done
  (( $#answers )) && _describe kortex-cli answers
}
if [ "$funcstack[1]" = _kortex_cli ]; then _kortex_cli "$@"; else compdef _kortex_cli kortex-cli; fi
)sh";

constexpr std::string_view fish = R"sh(# fish completion for kortex-cli: kortex-cli completion fish | source
function __kortex_cli_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l answers ($words[1] __complete -- $words[2..-1] 2>/dev/null)
  switch "$answers[1]"
    case :files
      __fish_complete_path (commandline -ct)
    case :directories
      __fish_complete_directories (commandline -ct)
    case '*'
      printf '%s\n' $answers
  end
end
complete -c kortex-cli -f -a '(__kortex_cli_complete)'
)sh";

int run(Invocation& invocation) {
  const std::string& shell = invocation.argument(0);
  invocation.out() << (shell == "bash" ? bash : shell == "zsh" ? zsh : fish);
  return 0;
}

constexpr std::string_view shells[] = {"bash", "zsh", "fish"};
constexpr ArgumentSpec arguments[] = {
    {.name = "SHELL", .help = "bash, zsh or fish", .kind = Kind::choice, .choices = shells},
};
constexpr Example examples[] = {
    {"eval \"$(kortex-cli completion bash)\"", "in ~/.bashrc"},
    {"kortex-cli completion fish | source", "in ~/.config/fish/config.fish"},
};

}  // namespace

extern const Command completion_command;
constinit const Command completion_command = {
    .verb = "completion",
    .summary = "print a completion script for a shell",
    .arguments = arguments,
    .examples = examples,
    .json = false,
    .run = run,
};

}  // namespace kortex::host
