#include "cli/command.hpp"
#include "cli/invocation.hpp"

namespace kortex::host {
namespace {

// The scripts know nothing: each asks the binary, which answers "word<TAB>meaning" lines, or one line
// ":files" or ":directories" where the shell itself knows best.

constexpr std::string_view bash = R"sh(# bash completion for kortex-cli: eval "$(kortex-cli completion bash)"
_kortex_cli() {
  # COMP_WORDS keeps quotes and is cut at '=' and ':' as well: the line is taken apart again. `cut` is what readline
  # keeps of the last word: all up to its last '=' or ':'.
  local line=${COMP_LINE:0:COMP_POINT} word= cut= quote= begun= char i
  local -a words=()
  for ((i = 0; i < ${#line}; ++i)); do
    char=${line:i:1}
    if [[ $quote != "'" && $char == "\\" ]]; then
      ((++i))
      word+=${line:i:1} begun=1
    elif [[ -n $quote ]]; then
      if [[ $char == "$quote" ]]; then quote=; else word+=$char; fi
    elif [[ $char == [\'\"] ]]; then
      quote=$char begun=1
    elif [[ $char == [[:space:]] ]]; then
      [[ -n $begun ]] && words+=("$word")
      word= cut= begun=
    else
      word+=$char begun=1
      [[ $char == [=:] ]] && cut=$word
    fi
  done
  words+=("$word")
  [[ -n $quote ]] && cut=
  words=("${words[@]/#\~\//$HOME/}")
  COMPREPLY=()
  while IFS= read -r line; do
    word=${line%%$'\t'*}
    case $word in
      :files) compopt -o default 2>/dev/null; return ;;
      :directories) compopt -o dirnames 2>/dev/null; return ;;
    esac
    word=${word#"$cut"}
    [[ -n $quote ]] || printf -v word %q "$word"
    COMPREPLY+=("$word")
    [[ $word == *= ]] && compopt -o nospace 2>/dev/null
  done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _kortex_cli kortex-cli
)sh";

constexpr std::string_view zsh = R"sh(#compdef kortex-cli
# zsh completion for kortex-cli: source <(kortex-cli completion zsh), after compinit
_kortex_cli() {
  local line name
  local -a answers keys given
  given=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
  given=("${(@)given/#\~\//$HOME/}")
  for line in "${(@f)$("${given[1]}" __complete -- "${(@)given[2,-1]}" 2>/dev/null)}"; do
    name=${line%%$'\t'*}
    case $line in
      '') ;;
      :files) compset -P 1 '--*='; _files; return ;;
      :directories) compset -P 1 '--*='; _files -/; return ;;
      *=) keys+=("${name//:/\\:}") ;;
      *$'\t'*) answers+=("${name//:/\\:}:${line#*$'\t'}") ;;
      *) answers+=("${name//:/\\:}") ;;
    esac
  done
  (( $#keys )) && _describe kortex-cli keys -S ''
  (( $#answers )) && _describe kortex-cli answers
}
if [[ $funcstack[1] == _kortex[_-]cli ]]; then _kortex_cli "$@"; else compdef _kortex_cli kortex-cli; fi
)sh";

constexpr std::string_view fish = R"sh(# fish completion for kortex-cli: kortex-cli completion fish | source
function __kortex_cli_complete
  # As typed, quotes and all, which may be open still.
  set -l typed (commandline -ct)
  set -l current (string unescape -- "$typed"; or string trim -l -c '\'"' -- "$typed")
  set -l words (string replace -r '^~/' "$HOME/" -- (commandline -opc) "$current")
  set -l answers ($words[1] __complete -- $words[2..-1] 2>/dev/null)
  # A path behind "--option=": fish knows the word only whole.
  set -l option (string match -r -- '^--[^=]*=' "$current")
  set -l path (string replace -r -- '^--[^=]*=' '' "$current")
  switch "$answers[1]"
    case :files
      printf '%s\n' "$option"(__fish_complete_path "$path")
    case :directories
      printf '%s\n' "$option"(__fish_complete_directories "$path")
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
    {"source <(kortex-cli completion zsh)", "in ~/.zshrc, after compinit"},
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
