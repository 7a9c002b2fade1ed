// Shared by every component of the page; put in front of each component's own script by Python.
const emoface = (window.emoface ??= { libraries: {}, players: {}, faces: {} });
emoface.say ??= text => text;   // translate.js knows more

/** Address of a file served by Gradio, also behind a root path. */
const served = path => ((window.gradio_config && window.gradio_config.root) || '') + path;

/** Load a script once per page; a failure may be tried again. */
const loadLibrary = address => emoface.libraries[address] ??= new Promise((done, failed) => {
  const script = document.createElement('script');
  script.src = address;
  script.onload = done;
  script.onerror = () => {
    delete emoface.libraries[address];
    failed(new Error('The drawing library (plotly.js) could not be loaded. Reload the page; if that does not help, check your connection.'));
  };
  document.head.appendChild(script);
});

/** Whether this browser has WebGL, and whether the processor has to do its drawing; asked once per page. */
const drawing = () => emoface.drawing ??= (() => {
  const gl = document.createElement('canvas').getContext('webgl'), info = gl?.getExtension('WEBGL_debug_renderer_info');
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : '';
  gl?.getExtension('WEBGL_lose_context')?.loseContext();
  return { webgl: !!gl, slow: /swiftshader|llvmpipe|software|basic render/i.test(name) };
})();
