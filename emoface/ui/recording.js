// Gradio's sound field takes only what the browser calls audio, and refuses the rest with raw MIME types. The server reads the sound of
// videos too, and says in words what it cannot read: here every file passes as sound. Runs once per page, for all fields of .ef-audio.
(() => {
  const SOUND = 'audio/*,video/*,.caf,.m4b,.mkv,.3gp,.opus,.amr,.webm';
  const field = node => node instanceof Element && node.closest('.ef-audio');
  function passing(files) {
    const all = new DataTransfer();
    for (const file of files) all.items.add(file.type.startsWith('audio/') ? file : new File([file], file.name, { type: 'audio/x-recording' }));
    return all;
  }
  document.addEventListener('click', event => { if (event.target.type === 'file' && field(event.target)) event.target.accept = SOUND; }, true);
  document.addEventListener('change', event => {
    const input = event.target;
    if (input.type === 'file' && field(input) && [...input.files].some(file => !file.type.startsWith('audio/'))) input.files = passing(input.files).files;
  }, true);
  document.addEventListener('drop', event => {
    if (event.passed || !field(event.target) || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const again = new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: passing(event.dataTransfer.files) });
    again.passed = true;
    event.target.dispatchEvent(again);
  }, true);
})();
