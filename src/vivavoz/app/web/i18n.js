// Every word the page says, in English and Portuguese; the browser's language chooses.

const ENGLISH = {
  device: "Call", controls: "In the call", conversation: "Conversation",
  start: "Start talking", end: "End", mute: "Mute", unmute: "Unmute",
  interrupt: "Interrupt", microphone: "Microphone", send: "Send",
  typeLabel: "Type a line", typePlaceholder: "Or type a line…",
  you: "You", them: "vivavoz",
  emptyTitle: "Say something.",
  howTalk: "Talk", howTalkText: "Press start and speak as you would on the phone.",
  howCut: "Interrupt", howCutText: "Just speak. It stops and listens.",
  howType: "Type", howTypeText: "Lines you type join the same conversation.",
  interrupted: "interrupted: the rest was not heard", notUnderstood: "not understood", failedAnswer: "the answer failed",
  incomplete: "cut at its length limit",
  stateIdle: "Ready", stateMicrophone: "Microphone…", stateConnecting: "Connecting…", stateListening: "Listening",
  stateHearing: "Hearing you", stateThinking: "Thinking", stateSpeaking: "Speaking", stateMuted: "Muted",
  stateTyping: "Type to talk", stateEnded: "Call ended", stateWaiting: "Waiting…", stateError: "Not connected",
  hintIdle: "Nothing is sent before you start.", hintMicrophone: "Your browser asks for permission.",
  hintListening: "Speak when you like.", hintSpeaking: "Speak to interrupt, or press Esc.",
  hintMuted: "The other side hears silence.", hintTyping: "No microphone in this call; you still hear the answers.",
  hintEnded: "It lasted {time}.",
  microphoneGone: "The microphone was disconnected; you can go on by typing.",
  noMicrophone: "No microphone found", noMicrophoneText: "Connect one and try again, or go on by typing: you will still hear the answers.",
  denied: "The microphone is blocked", deniedText: "Allow it for this page in your browser's address bar and try again, or go on by typing.",
  micBusy: "The microphone is in use", micBusyText: "Another program holds it. Close that and try again, or go on by typing.",
  insecure: "No microphone on this address",
  insecureText: "Browsers give the microphone only to https and to localhost. Start the service with --tls, or open it as localhost. Typing works.",
  refused: "This service asks for a key", refusedText: "It is kept in this tab only, and forgotten when you close it.",
  wrongKey: "That key was refused", keyLabel: "Key", keySend: "Use this key",
  forbidden: "The service refused this page",
  busy: "The service cannot take the call yet", busyText: "{message} Trying again in {seconds} s.",
  network: "The service does not answer", networkText: "Is it still running? Nothing at {host} replied.",
  unreachable: "No sound path to the service",
  unreachableText: "The page reached it, the call did not: UDP is blocked on the way, or the service advertises an address this browser cannot reach (--advertise).",
  lost: "The connection was lost", lostText: "The call ended with it. What was said is still here.",
  closed: "The service ended the call", closedText: "It may have reached its longest duration, or is shutting down.",
  refusedCall: "The call was refused", unsupported: "This browser cannot make calls", unsupportedText: "It has no WebRTC.",
  retry: "Try again", goOnTyping: "Go on by typing", dismiss: "Close", cancel: "Cancel",
  checking: "Asking the service…", unreached: "The service does not answer", ready: "Ready", demo: "demo quality", basic: "basic quality", isScripted: "scripted",
  loading: "Loading: {names}", failed: "Not working: {names}", noLlm: "No language model: the answers are scripted",
  scripted: "Scripted answers, no models",
  taskVad: "Speech detection", taskTurn: "End of turn", taskStt: "Recognition", taskLlm: "Language model", taskTts: "Voice",
  taskSpeechToSpeech: "Speech to speech",
  isLoading: "loading", isReady: "ready", isFailed: "failed", isAbsent: "absent",
};

const PORTUGUESE = {
  device: "Chamada", controls: "Na chamada", conversation: "Conversa",
  start: "Começar a falar", end: "Encerrar", mute: "Silenciar", unmute: "Reativar",
  interrupt: "Interromper", microphone: "Microfone", send: "Enviar",
  typeLabel: "Escreva uma linha", typePlaceholder: "Ou escreva uma linha…",
  you: "Você", them: "vivavoz",
  emptyTitle: "Diga alguma coisa.",
  howTalk: "Fale", howTalkText: "Aperte começar e fale como ao telefone.",
  howCut: "Interrompa", howCutText: "É só falar. A voz para e escuta.",
  howType: "Escreva", howTypeText: "O que você escreve entra na mesma conversa.",
  interrupted: "interrompido: o resto não foi ouvido", notUnderstood: "não entendido", failedAnswer: "a resposta falhou",
  incomplete: "cortada no limite de tamanho",
  stateIdle: "Pronto", stateMicrophone: "Microfone…", stateConnecting: "Conectando…", stateListening: "Ouvindo",
  stateHearing: "Você está falando", stateThinking: "Pensando", stateSpeaking: "Falando", stateMuted: "Sem som",
  stateTyping: "Escreva para conversar", stateEnded: "Chamada encerrada", stateWaiting: "Aguardando…", stateError: "Sem conexão",
  hintIdle: "Nada é enviado antes de você começar.", hintMicrophone: "O navegador pede permissão.",
  hintListening: "Fale quando quiser.", hintSpeaking: "Fale para interromper, ou aperte Esc.",
  hintMuted: "O outro lado ouve silêncio.", hintTyping: "Sem microfone nesta chamada; você ainda ouve as respostas.",
  hintEnded: "Durou {time}.",
  microphoneGone: "O microfone foi desconectado; você pode continuar escrevendo.",
  noMicrophone: "Nenhum microfone encontrado", noMicrophoneText: "Conecte um e tente de novo, ou continue escrevendo: você ainda ouve as respostas.",
  denied: "O microfone está bloqueado", deniedText: "Permita-o para esta página na barra de endereço e tente de novo, ou continue escrevendo.",
  micBusy: "O microfone está em uso", micBusyText: "Outro programa o ocupa. Feche-o e tente de novo, ou continue escrevendo.",
  insecure: "Sem microfone neste endereço",
  insecureText: "Os navegadores só dão o microfone a https e a localhost. Inicie o serviço com --tls ou abra-o como localhost. Escrever funciona.",
  refused: "Este serviço pede uma chave", refusedText: "Ela fica só nesta aba e é esquecida quando você a fecha.",
  wrongKey: "A chave foi recusada", keyLabel: "Chave", keySend: "Usar esta chave",
  forbidden: "O serviço recusou esta página",
  busy: "O serviço ainda não pode atender", busyText: "{message} Nova tentativa em {seconds} s.",
  network: "O serviço não responde", networkText: "Ele ainda está rodando? Nada em {host} respondeu.",
  unreachable: "Sem caminho de som até o serviço",
  unreachableText: "A página chegou até ele, a chamada não: UDP está bloqueado no caminho, ou o serviço anuncia um endereço que este navegador não alcança (--advertise).",
  lost: "A conexão caiu", lostText: "A chamada terminou com ela. O que foi dito continua aqui.",
  closed: "O serviço encerrou a chamada", closedText: "Pode ter chegado à duração máxima, ou está desligando.",
  refusedCall: "A chamada foi recusada", unsupported: "Este navegador não faz chamadas", unsupportedText: "Ele não tem WebRTC.",
  retry: "Tentar de novo", goOnTyping: "Continuar escrevendo", dismiss: "Fechar", cancel: "Cancelar",
  checking: "Consultando o serviço…", unreached: "O serviço não responde", ready: "Pronto", demo: "qualidade de demonstração", basic: "qualidade básica", isScripted: "roteiro",
  loading: "Carregando: {names}", failed: "Com problema: {names}", noLlm: "Sem modelo de linguagem: as respostas seguem um roteiro",
  scripted: "Respostas de roteiro, sem modelos",
  taskVad: "Detecção de fala", taskTurn: "Fim da vez", taskStt: "Reconhecimento", taskLlm: "Modelo de linguagem", taskTts: "Voz",
  taskSpeechToSpeech: "Fala para fala",
  isLoading: "carregando", isReady: "pronto", isFailed: "falhou", isAbsent: "ausente",
};

const LANGUAGES = { en: ENGLISH, pt: PORTUGUESE };

/** The page's language: the first of the browser's that the page speaks. */
export const language =
  (navigator.languages ?? [navigator.language]).map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in LANGUAGES) ?? "en";

/** The words for `key`, with `{name}` places filled from `values`. */
export function t(key, values = {}) {
  const words = LANGUAGES[language][key] ?? ENGLISH[key] ?? key;
  return words.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** Put the words into every element that names them (`data-t`, `data-t-label`, `data-t-placeholder`). */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
  for (const element of root.querySelectorAll("[data-t-placeholder]")) element.placeholder = t(element.dataset.tPlaceholder);
}

/** Both tables, for the test that neither lacks a word. */
export const tables = LANGUAGES;
