# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for ghmemctl(1)

_ghmemctl_handles()
{
	ghmemctl "${address[@]}" list 2>/dev/null | while read -r handle _; do
		case $handle in
		'' | *[!0-9]*) ;;
		*) echo "$handle" ;;
		esac
	done
}

# What may stand after --OPTION=
_ghmemctl_value()
{
	case $1 in
	--file) compgen -f -- "$2" ;;
	--policy-dir) compgen -d -- "$2" ;;
	--address) compgen -P unix: -f -- "${2#unix:}" ;;
	--type) compgen -W 'normal io' -- "$2" ;;
	--host-access) compgen -W 'r rw rx rwx' -- "$2" ;;
	--operation)
		compgen -W 'share lend donate reclaim accept release list monitor status check' -- "$2"
		;;
	esac
}

_ghmemctl()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local common='--address= --json --help --version'
	local memory='--vm= --size= --file= --fd= --region= --copy --private --offset= --length=
		--type= --label= --sanitize --notify --detach'
	local command='' operands=0 options=$common i
	local -a address=()

	# "=" is a word of its own while COMP_WORDBREAKS has it.
	if [[ $word == '=' ]]; then
		mapfile -t COMPREPLY < <(_ghmemctl_value "$before" '')
		return
	elif [[ $before == '=' ]]; then
		mapfile -t COMPREPLY < <(_ghmemctl_value "${COMP_WORDS[COMP_CWORD - 2]}" "$word")
		return
	elif [[ $word == --*=* ]]; then
		mapfile -t COMPREPLY < <(_ghmemctl_value "${word%%=*}" "${word#*=}")
		COMPREPLY=("${COMPREPLY[@]/#/${word%%=*}=}")
		return
	fi

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--)
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
			return
			;;
		--address=*) address=("${COMP_WORDS[i]}") ;;
		--address)
			[[ ${COMP_WORDS[i + 1]} == '=' ]] && address=("--address=${COMP_WORDS[i + 2]}")
			;;
		-*) ;;
		'=') ((i++)) ;;
		*)
			if [[ -z $command ]]; then
				command=${COMP_WORDS[i]}
			else
				((operands++))
			fi
			;;
		esac
	done

	case $command in
	share) options+=" $memory --host-access= --pool --wait=" ;;
	lend) options+=" $memory --wait=" ;;
	donate) options+=" $memory" ;;
	check) options+=" $memory --host-access= --pool --wait= --operation= --uid=" ;;
	reclaim) options+=' --offset= --sanitize --force' ;;
	policy) options+=' --policy-dir=' ;;
	esac

	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
		[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
		return 0
	fi
	case $command in
	'')
		mapfile -t COMPREPLY < <(compgen -W 'status list show share lend donate reclaim
			monitor check policy reload' -- "$word")
		;;
	show | reclaim)
		((operands == 0)) &&
			mapfile -t COMPREPLY < <(compgen -W "$(_ghmemctl_handles)" -- "$word")
		;;
	check)
		mapfile -t COMPREPLY < <(_ghmemctl_value --operation "$word")
		;;
	policy)
		if ((operands == 0)); then
			mapfile -t COMPREPLY < <(compgen -W 'verify show' -- "$word")
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$word")
		fi
		;;
	esac
	return 0
}

complete -F _ghmemctl ghmemctl
